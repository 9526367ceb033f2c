"""Two processes with half of each batch train what one trains with the whole of it: every method, by torch's launcher."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from every_method import CASES, arguments, train_all

pytestmark = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo")
