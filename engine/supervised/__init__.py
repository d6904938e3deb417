"""What heads other than causal-lm learn and are measured on.

`family` is the interface: rows to train on, and scores of a model. `catalogue` finds a head's:
`classification` (GLUE), `span_qa` (SQuAD; `span_features` are its rows) or `summarization`.
`task_examples` reads what a spec asks for, `token_rows` holds tokens of unequal length, `scoring`
asks a model and builds scores; `glue_metrics`, `squad_metrics` and `rouge_metrics` are the numbers.
Reading rows is `engine.data`. Start with `catalogue.load_family`.
"""
