"""Scripts that start processes need a guard."""

import subprocess
import sys

import pytest

CALL = "from pathfuse.system.main_guard import require_main_guard\n"


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (CALL + "require_main_guard()\n", True),
        (CALL + "if len('x'):\n    require_main_guard()\n", True),
        (CALL + "if __name__ == '__main__':\n    require_main_guard()\n", False),
        (CALL + "def go():\n    require_main_guard()\nif __name__ == '__main__':\n    go()\n", False),
        (CALL + "if __name__ == '__main__':\n    pass\nelse:\n    pass\nrequire_main_guard()\n", True),
    ],
)
def test_a_script_without_a_guard_is_refused_with_its_line(tmp_path, text, refused):
    script = tmp_path / "script.py"
    script.write_text(text)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) is refused
    assert ('Put it under `if __name__ == "__main__":`' in done.stderr) is refused
