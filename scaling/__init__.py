"""From one space to a family: compound coefficients, the search over them, and the members A0 to A5.

Kondratyuk et al., CVPR 2021 (arXiv 2103.11511), section 3.1, scale the search space itself, by one exponent over depth,
base width, resolution and frame rate. Their code for it is not public: how coefficients are normalised, searched and
applied here is our choice.
"""
