"""Small GGUF files as llama.cpp's converter writes them: random weights, a tokenizer made here, true metadata.

    network = save_tiny_gguf("gemma3", tmp_path / "tiny.gguf")      # the network whose weights are in the file

Families: `gemma3` (no chat template, blocks of a quantised type in the embedding, norms kept as w + 1) and `llama`
(a chat model, output layer of its own, rows of queries and keys in llama.cpp's order). A file has about 300 kB.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from tests.agent.tiny_models import SENTENCES, tiny_network, tiny_tokenizer

_LAYERS = 2
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_ARCHITECTURES = {"gemma3": gguf.MODEL_ARCH.GEMMA3, "llama": gguf.MODEL_ARCH.LLAMA}
Change = Callable[[gguf.GGUFWriter], None]


def save_tiny_gguf(
    family: str,
    path: Path,
    *,
    seed: int = 0,
    architecture: str | None = None,
    change: Change | None = None,
    without: str = "",
    **settings: Any,
) -> Any:
    """Writes the file and returns the network. `architecture` is what the file calls itself; `change` adds further
    keys; the tensor `without` is left out; `settings` are those of the network."""
    writer = gguf.GGUFWriter(str(path), architecture or family)
    writer.add_name("Tiny Random")
    writer.add_license("apache-2.0")
    vocabulary = _gemma_tokenizer(writer) if family == "gemma3" else _llama_tokenizer(writer)
    network = _network(family, vocabulary, seed, **settings)
    with torch.no_grad():
        # What the quantised blocks can hold, so that the file has these very weights.
        embedding = network.model.embed_tokens.weight
        embedding.copy_(torch.from_numpy(_unpacked(_packed(embedding.numpy()))))
    _describe(writer, network.config, family)
    names = gguf.get_tensor_name_map(_ARCHITECTURES[family], _LAYERS)
    for name, weight in network.state_dict().items():
        if name == "lm_head.weight" and network.config.tie_word_embeddings:
            continue
        told = names.get_name(name, try_suffixes=(".weight",))
        if told != without:
            _write(writer, told, _as_llama_cpp(family, name, weight.float().numpy(), network.config))
    if change is not None:
        change(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return network


def _network(family: str, vocabulary: int, seed: int, **settings: Any) -> Any:
    if family == "llama":
        return tiny_network("llama", vocabulary, seed=seed, **{"tie_word_embeddings": False, **settings})
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "sliding_window": 16,
        "max_position_embeddings": 512,
        "query_pre_attn_scalar": 256,
        "initializer_range": 0.2,
        **settings,
    }
    torch.manual_seed(seed)
    network = Gemma3ForCausalLM(Gemma3TextConfig(**config)).eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm" in name:
                weight.normal_(std=0.1)  # they begin as zero, and a shift by one would not show
    return network


def _packed(weight: np.ndarray) -> np.ndarray:
    return gguf.quants.quantize(weight, gguf.GGMLQuantizationType.Q8_0)


def _unpacked(blocks: np.ndarray) -> np.ndarray:
    return gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)


def _as_llama_cpp(family: str, name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    if family == "gemma3":
        return weight + 1 if "norm" in name else weight
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for kind, count in heads.items():
        if kind in name:
            halves = weight.reshape(count, 2, weight.shape[0] // count // 2, *weight.shape[1:])
            return halves.swapaxes(1, 2).reshape(weight.shape)
    return weight


def _write(writer: gguf.GGUFWriter, name: str, weight: np.ndarray) -> None:
    if name == "token_embd.weight":
        writer.add_tensor(name, _packed(weight), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    else:
        writer.add_tensor(name, np.ascontiguousarray(weight, dtype=np.float32))


def _describe(writer: gguf.GGUFWriter, config: Any, family: str) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if family == "gemma3":
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
    else:
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_rope_dimension_count(config.head_dim)
        writer.add_vocab_size(config.vocab_size)


def _llama_tokenizer(writer: gguf.GGUFWriter) -> int:
    """Byte-level merges as of Llama 3, with the chat template of the tiny model."""
    import json

    tokenizer = tiny_tokenizer("llama")
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    control = set(tokenizer.added_tokens_encoder)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(words)
    writer.add_token_types([_CONTROL if word in control else _NORMAL for word in words])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(True)
    writer.add_chat_template(tokenizer.chat_template)
    return len(words)


def _gemma_tokenizer(writer: gguf.GGUFWriter) -> int:
    """A vocabulary of sentencepiece's kind: control tokens, bytes, then pieces in the order of their merges."""
    from tokenizers import Tokenizer, models, normalizers, trainers

    pieces = Tokenizer(models.BPE())
    pieces.normalizer = normalizers.Replace(" ", "▁")
    pieces.train_from_iterator(
        [sentence for text in SENTENCES for sentence in text.split(",")],
        trainers.BpeTrainer(vocab_size=400, show_progress=False, max_token_length=6),
    )
    learned = sorted(pieces.get_vocab(), key=pieces.get_vocab().__getitem__)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    words = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "  ", *learned]
    kinds = [_CONTROL] * len(special) + [_BYTE] * 256 + [_NORMAL] * (1 + len(learned))
    kinds[words.index("<unk>")] = _UNKNOWN
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_scores([-float(place) for place in range(len(words))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    return len(words)
