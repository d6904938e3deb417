"""How robust a classifier is: texts near the right ones that it misreads, searched by gradients.

The attack is GBDA (Guo et al., 2021, arXiv:2104.13733), written from its formulas. `attack` attacks
every text and scores; `classifier` is what is attacked; `editable_texts` says which tokens may
change; `soft_texts` draws texts as probabilities of tokens and lets the model read them; `terms`
are the three terms of the objective; `gradient_search` follows their gradient; `reference` is the
16-bit model that judges similarity and fluency, `language_head` its output layer; `change_rate`
counts changed words; `report` writes the texts. `attackable` refuses what cannot be attacked, and
loads no torch. Start with `attack.attack_classifier`.
"""
