"""Statistics of right and wrong answers, a noun a file. Knows numbers; no models.

`clusters` (which questions share a passage) < `intervals` < `paired` < `correction` < `ranking`, `synergy`; beside them
`power`, `diversity`, `calibration`, `agreement`, `judge_correction`, `accuracy`.
"""
