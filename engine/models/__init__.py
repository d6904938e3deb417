"""Models: from what a spec names to weights in memory, and their shapes without the weights.

`loading` is the door for runs: a frozen model and its tokenizer. `shapes` is that for estimates,
without torch: layer sizes. Behind them:
`sources` (hub, folder, GGUF or bundled), `bundled` (the catalogue of models in packages),
`gguf_header` (the head of a GGUF file), `gguf_names` (its names as modules), `safetensors_header`
and `hub_shapes` (shapes of a folder and of a hub model), `families` (what kind of model takes which
head), `tensor_names` (a checkpoint as the model with that head), `heads` (heads that start fresh
and are trained), `adapter_header` (what a folder of PEFT's
holds), `conversion` (GGUF to safetensors, once),
`conv1d` (GPT-2's layers as linear ones), `hub` (what the hub answers when it cannot), `naming`
(block and kind of a layer), `quiet` (Transformers without chatter). This file imports nothing, so
that `shapes` stays light.
"""
