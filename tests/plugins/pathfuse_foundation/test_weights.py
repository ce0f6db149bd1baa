"""Weights of encoders from folders, files and the hub, without a network and without running anybody's code."""

import json
import pickle
import socket
from dataclasses import replace

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import save_file
from torch.testing import assert_close

from pathfuse.core import weights_follow
from pathfuse.errors import PluginError, WeightsError
from pathfuse.extract.encoders import load_encoder
from pathfuse.nn import hub
from pathfuse.registry import BACKBONES
from pathfuse_foundation.encoders import encoder_of
from pathfuse_foundation.table import rows
from tests.plugins.pathfuse_foundation.tiny import shaken, small_encoder, tokens_by_hand


@pytest.fixture
def forbidden_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def trained(name):
    """A small network with numbers, and its tensors as they are published."""
    net = small_encoder(name)(3)
    shaken(net.network)
    return net, {key: value.clone() for key, value in net.network.net.state_dict().items()}


def by_hand(net, state, images):
    tokens = [
        tokens_by_hand(state, image, patch=net.network.patch_px)
        for image in ((images - net.mean) / net.std).double().numpy()
    ]
    return torch.stack([torch.from_numpy(one) for one in tokens])


@pytest.mark.parametrize("reference", ["{}", "local-dir:{}", "{}/model.safetensors"])
@pytest.mark.parametrize("name", ["virchow", "uni2_h"])
def test_a_folder_shaped_like_a_published_one_gives_vectors_computed_by_hand(
    name, reference, tmp_path, forbidden_network
):
    net, state = trained(name)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": net.row.network, "model_args": {}}))
    loaded = small_encoder(name)(3, weights=reference.format(tmp_path)).eval()
    images = torch.rand(2, 3, 56, 56)
    tokens = by_hand(loaded, state, images)
    expected = {"virchow": torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1), "uni2_h": tokens[:, 0]}[name]
    assert_close(loaded(images).double(), expected, atol=1e-4, rtol=1e-4)
    assert not any(parameter.is_meta for parameter in loaded.parameters())
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_the_plain_loader_of_timm_folders_reads_a_gated_network_too(tmp_path, forbidden_network):
    """A Virchow-shaped folder: its config.json cannot say that its MLP is gated, its tensors can."""
    net, state = trained("virchow")
    save_file(state, tmp_path / "model.safetensors")
    arguments = {
        key: value
        for key, value in net.row.arguments.items()
        if key not in ("mlp_layer", "act_layer")
    } | {"num_classes": 0, "dynamic_img_size": True}  # fmt: skip
    statistics = {"input_size": [3, 56, 56], "mean": list(net.row.mean), "std": list(net.row.std)}
    config = {"architecture": net.row.network, "model_args": arguments | {"global_pool": "token"}}
    config["pretrained_cfg"] = statistics
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(f"local-dir:{tmp_path}", None)
    images = torch.rand(1, 3, 56, 56)
    assert_close(encoder.net(images).double(), by_hand(net, state, images)[:, 0], atol=1e-4, rtol=1e-4)
    with weights_follow():
        rebuilt = BACKBONES.get("TimmBackbone")(3, name=f"local-dir:{tmp_path}", weights=str(tmp_path))
    rebuilt.load_state_dict(encoder.net.state_dict())
    config["model_args"]["global_pool"] = ""
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(Exception, match=r"leaves its tokens unpooled. Set global_pool.*`pathfuse plugins` lists"):
        load_encoder(f"local-dir:{tmp_path}", None)


@pytest.mark.parametrize("file", ["model.pth", "model.pt", "pytorch_model.bin"])
def test_a_state_dict_of_torch_is_read_with_weights_only(file, tmp_path, forbidden_network):
    net, state = trained("uni")
    torch.save(state, tmp_path / file)
    for reference in (tmp_path / file, tmp_path):
        loaded = small_encoder("uni")(3, weights=str(reference)).eval()
        images = torch.rand(1, 3, 64, 64)
        assert_close(loaded(images), net(images))


def test_half_precision_weights_become_single_precision(tmp_path):
    _, state = trained("uni")
    save_file({key: value.half() for key, value in state.items()}, tmp_path / "model.safetensors")
    loaded = small_encoder("uni")(3, weights=str(tmp_path))
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


class TestNamesOfDinov2:
    """The released names of DINOv2 for the same tensors."""

    def in_dinov2_names(self, state, chunk=None):
        found = {}
        for key, value in state.items():
            key = key.replace(".mlp.fc1.", ".mlp.w12.").replace(".mlp.fc2.", ".mlp.w3.")
            if chunk and key.startswith("blocks."):
                block = int(key.split(".")[1])
                key = f"blocks.{block // chunk}.{key.removeprefix('blocks.')}"
            found[key] = value
        return found | {"mask_token": torch.zeros(1, state["cls_token"].shape[-1])}

    @pytest.mark.parametrize("chunk", [None, 1])
    def test_gated_layers_and_chunks_of_blocks(self, tmp_path, chunk):
        net, state = trained("crown")
        torch.save(self.in_dinov2_names(state, chunk), tmp_path / "CROWN.pth")
        loaded = small_encoder("crown")(3, weights=str(tmp_path)).eval()
        images = torch.rand(1, 3, 64, 64)
        assert_close(loaded(images), net(images))

    def test_registers_have_no_position_and_the_class_token_has_its_own(self, tmp_path):
        net, state = trained("open_midnight")
        theirs = self.in_dinov2_names(state)
        theirs["register_tokens"] = theirs.pop("reg_token")
        own = torch.rand_like(state["cls_token"])
        theirs["pos_embed"] = torch.cat([own, state["pos_embed"]], 1)
        theirs["cls_token"] = state["cls_token"] - own
        torch.save(theirs, tmp_path / "teacher_checkpoint_load.pt")
        loaded = small_encoder("open_midnight")(3, weights=str(tmp_path)).eval()
        images = torch.rand(1, 3, 56, 56)
        assert_close(loaded(images), net(images), atol=1e-5, rtol=1e-5)


def test_a_low_rank_adapter_is_merged_as_its_equation_says(tmp_path):
    _, state = trained("crisp")
    down, up = torch.randn(8, 24) * 0.1, torch.randn(72, 8) * 0.1
    peft = {f"base_model.model.{key}": value for key, value in state.items()}
    key = "blocks.1.attn.qkv"
    for kind in ("weight", "bias"):
        peft[f"base_model.model.{key}.base_layer.{kind}"] = peft.pop(f"base_model.model.{key}.{kind}")
    peft[f"base_model.model.{key}.lora_A.default.weight"] = down
    peft[f"base_model.model.{key}.lora_B.default.weight"] = up
    torch.save(peft, tmp_path / "CRISP.pth")
    loaded = small_encoder("crisp")(3, weights=str(tmp_path / "CRISP.pth"))
    expected = state[f"{key}.weight"] + 16 / 8 * up @ down
    assert_close(loaded.network.net.blocks[1].attn.qkv.weight, expected)
    assert_close(loaded.network.net.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])


class TestTransformers:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("transformers")

    @pytest.mark.parametrize("name", [name for name, row in rows().items() if row.library == "transformers"])
    def test_a_folder_as_it_is_published_is_read_without_a_word(self, name, tmp_path, capfd, forbidden_network):
        net, _ = trained(name)
        net.network.net.save_pretrained(tmp_path)
        capfd.readouterr()
        loaded = small_encoder(name)(3, weights=str(tmp_path)).eval()
        assert capfd.readouterr() == ("", "")
        edge = net.row.input_px
        images = torch.rand(1, 3, edge, edge)
        assert_close(loaded(images), net(images))
        assert not any(tensor.is_meta for tensor in loaded.state_dict().values())

    def test_the_text_side_of_a_whole_clip_is_left_out(self, tmp_path, forbidden_network):
        net, state = trained("plip")
        save_file(state | {"text_model.embeddings.token_embedding.weight": torch.rand(4, 4),
                           "logit_scale": torch.ones(1)}, tmp_path / "model.safetensors")  # fmt: skip
        loaded = small_encoder("plip")(3, weights=str(tmp_path)).eval()
        images = torch.rand(1, 3, 128, 128)
        assert_close(loaded(images), net(images))

    def test_the_configuration_beside_the_weights_counts(self, tmp_path):
        net, _ = trained("phikon_v2")
        net.network.net.save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.5}))
        loaded = small_encoder("phikon_v2")(3, weights=str(tmp_path))
        assert loaded.network.net.layernorm.eps == 0.5

    def test_remote_code_is_never_run(self, tmp_path, forbidden_network):
        net, _ = trained("phikon_v2")
        net.network.net.save_pretrained(tmp_path)
        trace = tmp_path / "trace"
        (tmp_path / "modeling_hostile.py").write_text(f"open({str(trace)!r}, 'w').write('run')\n")
        config = json.loads((tmp_path / "config.json").read_text())
        code = {"AutoModel": "modeling_hostile.Hostile", "AutoConfig": "modeling_hostile.Hostile"}
        (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": code}))
        loaded = small_encoder("phikon_v2")(3, weights=str(tmp_path)).eval()
        images = torch.rand(1, 3, 64, 64)
        assert_close(loaded(images), net(images))
        (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": code, "model_type": "hostile"}))
        with pytest.raises(WeightsError, match=r"of type 'hostile' and asks for code of its own.*never run"):
            small_encoder("phikon_v2")(3, weights=str(tmp_path))
        assert not trace.exists()

    def test_without_the_package_one_line_says_how_to_get_it(self, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(
            PluginError, match=r"phikon is built by transformers.*pip install 'pathfuse\[transformers\]'"
        ):
            small_encoder("phikon")(3)


class Payload:
    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_hostile_file_runs_nothing(tmp_path):
    payload, trace = Payload(), tmp_path / "trace"
    payload.path = str(trace)
    (tmp_path / "model.pth").write_bytes(pickle.dumps(payload))
    torch.save({"cls_token": payload}, tmp_path / "other.pth")
    for file in ("model.pth", "other.pth"):
        with pytest.raises(WeightsError, match="cannot be read as a state dict"):
            small_encoder("uni")(3, weights=str(tmp_path / file))
    assert not trace.exists()


@pytest.mark.parametrize("name", ["uni", "phikon_v2"])
@pytest.mark.parametrize("change", ["missing", "foreign", "shape"])
def test_weights_that_do_not_fit_are_one_line_with_the_next_step(name, change, tmp_path):
    if name == "phikon_v2":
        pytest.importorskip("transformers")
    _, state = trained(name)
    key = next(key for key in state if "norm" in key)
    if change == "missing":
        del state[key]
    elif change == "foreign":
        state["what.is.this"] = torch.ones(1)
    else:
        state[key] = torch.ones(3)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=rf"do not fit {name} .*Take those of {rows()[name].published}") as error:
        small_encoder(name)(3, weights=str(tmp_path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_folder_that_does_not_say_which_file_is_asked_about(tmp_path):
    with pytest.raises(WeightsError, match="holds no weights"):
        small_encoder("uni")(3, weights=str(tmp_path))
    for file in ("a.pth", "b.pth"):
        torch.save({}, tmp_path / file)
    with pytest.raises(WeightsError, match=r"several files of weights \(a.pth, b.pth\)"):
        small_encoder("uni")(3, weights=str(tmp_path))
    with pytest.raises(WeightsError, match="no such file or folder"):
        small_encoder("uni")(3, weights=str(tmp_path / "nothing"))


def test_a_run_is_rebuilt_without_its_weights_and_without_network(forbidden_network):
    _, state = trained("virchow2")
    for weights in ("hub", "weights/of/another/machine"):
        with weights_follow():
            rebuilt = small_encoder("virchow2")(3, weights=weights)
        rebuilt.network.net.load_state_dict(state)


class TestHub:
    @pytest.fixture
    def cache(self, monkeypatch, tmp_path):
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        return tmp_path / "hub"

    @pytest.fixture
    def answering(self, monkeypatch, cache):
        """A hub that answers every question with an error of choice, or with a file."""
        asked = []

        def set_answer(answer):
            def download(repo, file, *, revision, etag_timeout):
                asked.append((repo, file, revision))
                if isinstance(answer, dict):
                    if file not in answer:
                        raise EntryNotFoundError(file)
                    return answer[file]
                raise answer

            monkeypatch.setattr(hub, "ask", lambda url: None)
            monkeypatch.setattr(hub, "hf_hub_download", download)
            return asked

        return set_answer

    def refusal(self, kind):
        from httpx2 import Request, Response

        answer = Response(403, request=Request("GET", "https://huggingface.co"))
        return kind("refused", response=answer)

    def test_the_pinned_revision_is_asked_for(self, answering, tmp_path):
        net, state = trained("virchow2")
        save_file(state, tmp_path / "model.safetensors")
        asked = answering({"model.safetensors": str(tmp_path / "model.safetensors")})
        loaded = small_encoder("virchow2")(3, weights="hub").eval()
        assert asked == [("paige-ai/Virchow2", "model.safetensors", rows()["virchow2"].revision)]
        images = torch.rand(1, 3, 56, 56)
        assert_close(loaded(images), net(images))
        small_encoder("virchow2")(3, weights="hub", revision="main")
        assert asked[-1][-1] == "main"

    def test_the_next_name_is_tried_if_a_file_is_not_there(self, answering, tmp_path):
        _, state = trained("kaiko_vits16")
        torch.save(state, tmp_path / "pytorch_model.bin")
        asked = answering({"pytorch_model.bin": str(tmp_path / "pytorch_model.bin")})
        small_encoder("kaiko_vits16")(3, weights="hub")
        assert [file for _, file, _ in asked] == ["model.safetensors", "pytorch_model.bin"]
        assert asked[0][-1] is None  # no revision is pinned
        answering({})
        with pytest.raises(WeightsError, match=r"has no file model.safetensors or pytorch_model.bin"):
            small_encoder("kaiko_vits16")(3, weights="hub")

    @pytest.mark.parametrize(
        ("kind", "line"),
        [
            (GatedRepoError, r"MahmoodLab/UNI2-h is gated. Accept its terms at https://\S+/MahmoodLab/UNI2-h, log in"),
            (RepositoryNotFoundError, r"knows no MahmoodLab/UNI2-h, or does not show it to you. Log in with"),
        ],
    )
    def test_without_consent_one_line_names_the_steps(self, kind, line, answering):
        answering(self.refusal(kind))
        with pytest.raises(WeightsError, match=line) as error:
            small_encoder("uni2_h")(3, weights="hub")
        assert "\n" not in str(error.value) and "path of a copy" in str(error.value)

    @pytest.mark.parametrize(
        "error", [LocalEntryNotFoundError("off"), ConnectionError("no route"), TimeoutError("slow")]
    )
    def test_offline_one_line_names_the_command_for_another_machine(self, error, answering):
        answering(error)
        revision = rows()["uni2_h"].revision
        steps = rf"`hf download MahmoodLab/UNI2-h --revision {revision} --local-dir FOLDER`"
        with pytest.raises(WeightsError, match=steps):
            small_encoder("uni2_h")(3, weights="hub")

    def test_without_a_name_server_it_is_the_same_line(self, cache, monkeypatch):
        def unreachable(*_, **__):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unreachable)
        with pytest.raises(WeightsError, match=r"cannot be downloaded .*hf download paige-ai/Virchow --revision"):
            small_encoder("virchow")(3, weights="hub")

    def test_what_was_downloaded_needs_no_network(self, cache, forbidden_network):
        net, state = trained("virchow")
        commit = rows()["virchow"].revision
        folder = cache / "models--paige-ai--Virchow" / "snapshots" / commit
        folder.mkdir(parents=True)
        save_file(state, folder / "model.safetensors")
        loaded = small_encoder("virchow")(3, weights="hub").eval()
        images = torch.rand(1, 3, 56, 56)
        assert_close(loaded(images), net(images))


def test_random_weights_touch_no_network(forbidden_network):
    small_encoder("uni2_h")(3, weights="random")


def test_the_note_of_a_run_carries_licence_and_revision():
    kind = encoder_of(rows()["uni2_h"])
    assert kind.weights_note({"weights": "random"})[1:3] == ("random numbers", "needs none")
    note = kind.weights_note({"weights": "hub"})
    assert note.licence == "CC-BY-NC-ND-4.0" and note.commercial == "no"
    assert note.weights == "those published under this name, revision d517a8dd4790"
    assert kind.weights_note({"weights": "/secret/place/uni2_h/"})[1:3] == (
        "the file uni2_h",
        "CC-BY-NC-ND-4.0, if they are the published ones",
    )
    unknown = encoder_of(replace(rows()["uni2_h"], licence="", commercial="", revision=""))
    assert unknown.weights_note({"weights": "hub"})[1:] == (
        "those published under this name, revision of the day", "not known", "",
    )  # fmt: skip
