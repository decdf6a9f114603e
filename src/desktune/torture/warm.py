"""Imported by the server from which trainings are forked, and by nobody else: what each of them would load again.

It computes nothing with torch, whose threads and devices do not survive a fork.
"""

from transformers import LlamaForCausalLM as LlamaForCausalLM
from transformers import T5ForConditionalGeneration as T5ForConditionalGeneration

from desktune import api as api
from desktune.data.store import batch_of
from desktune.evaluate.languages import identified

identified("a model that names languages is unpacked at its first use")
batch_of([])  # pyarrow looks for pandas
