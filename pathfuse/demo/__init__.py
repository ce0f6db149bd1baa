"""The built-in demo cohort: generated patients with co-registered H&E and IHC, no download, no licence.

Each patient is a set of parameters and a key (`patient.py`); the key's random fields (`fields.py`) are the tissue at
every place of the slide and at every magnification (`tissue.py`), and sections of it take up stain (`sections.py`).
"""

from pathfuse.demo.bags import write_bags
from pathfuse.demo.bci import write_bci
from pathfuse.demo.case import DemoCase, make_case
from pathfuse.demo.cohort import demo_folder, write_patches
from pathfuse.demo.options import GENERATOR_VERSION, SCORES, DemoCohort
from pathfuse.demo.patient import DemoPatient, make_patient
from pathfuse.demo.pictures import BagPictures, PatchPictures, SerialPictures, SlidePictures
from pathfuse.demo.serial.sections import write_serial
from pathfuse.demo.slides import write_slides

__all__ = [
    "GENERATOR_VERSION",
    "SCORES",
    "BagPictures",
    "DemoCase",
    "DemoCohort",
    "DemoPatient",
    "PatchPictures",
    "SerialPictures",
    "SlidePictures",
    "demo_folder",
    "make_case",
    "make_patient",
    "write_bags",
    "write_bci",
    "write_patches",
    "write_serial",
    "write_slides",
]
