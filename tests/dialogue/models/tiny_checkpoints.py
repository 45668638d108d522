"""Small random checkpoints of every family with small tokenizers, written into a folder as transformers would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SENTENCES = [
    "Hello there, how are you doing today?",
    "I like to cook pasta and walk by the sea with my dog.",
    "your persona: I live in a small town.",
    "User: what is your name? Bot: my name is Robin.",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
PAD, BOS, EOS = 0, 1, 2
GENERATION = {
    "num_beams": 10, "min_length": 20, "max_length": 60, "length_penalty": 0.65, "no_repeat_ngram_size": 3,
    "encoder_no_repeat_ngram_size": 3, "forced_eos_token_id": EOS,
}  # fmt: skip
"""As facebook/blenderbot-400M-distill ships them."""


def byte_tokenizer(special: list[str], prefix_space: bool = False) -> Tokenizer:
    """A byte-level BPE like that of GPT-2, BART and BlenderBot; special tokens have the first ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def piece_tokenizer(special: list[str]) -> Tokenizer:
    """A unigram vocabulary with word marks, like that of T5 and mBART."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    return tokenizer


def random_weights(model: Any, seed: int = 0) -> Any:
    """Weights, biases and gains large enough that every one of them matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        spread = 0.3 if parameter.dim() > 1 else 0.2
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = centre + spread * torch.randn(parameter.shape, generator=generator)
    for name, buffer in model.named_buffers():
        if name == "final_logits_bias":
            buffer.copy_(torch.randn(buffer.shape, generator=generator))
    model.tie_weights()
    return model.train(False)


def bart_sizes(vocab_size: int) -> dict[str, Any]:
    """Sizes shared by BART's relatives."""
    return {
        "vocab_size": vocab_size, "d_model": 24, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 2,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 40, "decoder_ffn_dim": 36, "max_position_embeddings": 64,
        "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": EOS,
        "forced_eos_token_id": EOS,
    }  # fmt: skip


def t5_sizes(vocab_size: int) -> dict[str, Any]:
    """Sizes shared by T5's relatives."""
    return {
        "vocab_size": vocab_size, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 2,
        "num_heads": 4, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD,
    }  # fmt: skip


def write(model: Any, folder: Path, tokenizer: Tokenizer | None, generation: dict[str, Any] | None = None) -> Path:
    """Save network, tokenizer and generation settings into ``folder``."""
    random_weights(model).save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save(str(folder / "tokenizer.json"))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def make(family: str, folder: Path) -> Path:
    """A checkpoint of the family; the name is transformers' ``model_type``."""
    import transformers as hf

    if family in ("bart", "blenderbot", "mbart"):
        languages = [AddedToken(code, special=True) for code in ("en_XX", "ko_KR")]
        tokenizer = piece_tokenizer(SPECIAL) if family == "mbart" else byte_tokenizer(SPECIAL)
        tokenizer.add_special_tokens(languages if family == "mbart" else [])
        sizes = bart_sizes(tokenizer.get_vocab_size()) | {"scale_embedding": family != "bart"}
        kind = {"bart": "Bart", "blenderbot": "Blenderbot", "mbart": "MBart"}[family]
        config = getattr(hf, f"{kind}Config")(**sizes)
        model = getattr(hf, f"{kind}ForConditionalGeneration")(config)
        return write(model, folder, tokenizer, GENERATION if family == "blenderbot" else None)
    if family in ("t5", "mt5", "switch_transformers"):
        tokenizer = piece_tokenizer(SPECIAL)
        sizes = t5_sizes(tokenizer.get_vocab_size())
        if family == "switch_transformers":
            sizes |= {"num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1, "num_experts": 3}
        kind = {"t5": "T5", "mt5": "MT5", "switch_transformers": "SwitchTransformers"}[family]
        config = getattr(hf, f"{kind}Config")(**sizes)
        return write(getattr(hf, f"{kind}ForConditionalGeneration")(config), folder, tokenizer)
    if family == "blenderbot-small":
        size = _small_tokenizer(folder)
        config = hf.BlenderbotSmallConfig(**bart_sizes(size) | {"decoder_start_token_id": BOS})
        return write(hf.BlenderbotSmallForConditionalGeneration(config), folder, None)
    if family == "m2m_100":
        size = _m2m_tokenizer(folder)
        config = hf.M2M100Config(**bart_sizes(size) | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2})
        return write(hf.M2M100ForConditionalGeneration(config), folder, None)
    if family == "gpt2":
        tokenizer = byte_tokenizer(["<|endoftext|>"])
        config = hf.GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_embd=24, n_layer=2, n_head=4, n_positions=128,
                               bos_token_id=0, eos_token_id=0)  # fmt: skip
        return write(hf.GPT2LMHeadModel(config), folder, tokenizer)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] if family == "llama-chatml" else ["<s>", "</s>"]
    tokenizer = byte_tokenizer(special)
    config = hf.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=24, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=640, bos_token_id=0, eos_token_id=1,
        tie_word_embeddings=family == "llama-chatml",
    )  # fmt: skip
    return write(hf.LlamaForCausalLM(config), folder, tokenizer)


def _small_tokenizer(folder: Path) -> int:
    """BlenderbotSmall's own files: words in pieces that end with ``@@`` unless they close a word."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?':"
    tokens = ["__null__", "__start__", "__end__", "__unk__", "__newln__"]
    tokens += [f"{letter}@@" for letter in letters] + list(letters) + ["hi", "you"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    merges = ["h i</w>", "o u</w>", "y ou</w>", *_newline_merges()]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BlenderbotSmallTokenizer"}))
    return len(tokens)


def _newline_merges() -> list[str]:
    """Merges that build ``__newln__`` letter by letter from the left."""
    word = "__newln__"
    return [f"{word[:i]} {word[i]}{'</w>' if i == len(word) - 1 else ''}" for i in range(1, len(word))]


def _m2m_tokenizer(folder: Path) -> int:
    """M2M-100's own files: a sentencepiece model and a vocabulary; languages follow as extra tokens."""
    import io

    import sentencepiece
    from transformers import M2M100Tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20), model_writer=model, vocab_size=80, hard_vocab_limit=False, minloglevel=2
    )
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    names = ["<s>", "<pad>", "</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size()))]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "M2M100Tokenizer"}))
    return int(M2M100Tokenizer.from_pretrained(folder).convert_tokens_to_ids("__zu__")) + 1  # the last language
