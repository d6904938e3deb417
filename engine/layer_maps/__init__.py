"""Files that give layers their widths, in Bitdial's own format and in others'. No torch.

Rooms: `layer_map` (what such a file says, and the form every format shares), `yaml_file` (Bitdial's
own), `qalof_json` (QaLoF's), `llama_cpp` (tensor types of llama-quantize), `compressed_tensors`
(groups of a quantization_config), `plain_regex` (the expressions in these two, as wildcards),
`numbered_names` (for which numbers a wildcard matches a name),
`catalogue` (every format there is), `documents` (text as a mapping: JSON, YAML or lines), `reading`
(the door: `read_map` and `write_map`). Whether the layers are there is for others to tell
(`engine.specs.layer_bits.check_named`). Start with `reading`.
"""
