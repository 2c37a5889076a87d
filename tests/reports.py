"""A report about an int8 form, for tests that only read it."""

from __future__ import annotations

from model_catalog.quantization import Comparison, QuantizationReport

COMPARISON = Comparison(
    images=30,
    sure=28,
    agreement=1.0,
    agreement_of_all=0.9,
    largest_change=0.1,
    mean_change=0.001,
)
REPORT = QuantizationReport(
    calibration_pictures=3,
    calibration_images=30,
    comparison_pictures=2,
    comparison=COMPARISON,
    golden_tolerance=0.3,
    images_per_second={"f32": 10.0, "bf16": 20.0, "int8": 30.0},
    speedup=1.5,
    size={"f32": 400, "int8": 100},
    kept=("dense/MatMul",),
    min_agreement=0.99,
    min_speedup=1.15,
)
