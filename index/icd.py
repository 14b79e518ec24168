"""The chapter groups of ICD-10-GM, chapter II, in which figures are reported: name, first and last category."""

CHAPTER_GROUPS = (
    ("C00-C14 lip, oral cavity, pharynx", "C00", "C14"), ("C15-C26 digestive organs", "C15", "C26"),
    ("C30-C39 thorax", "C30", "C39"), ("C40-C49 bone, skin, soft tissue", "C40", "C49"), ("C50 breast", "C50", "C50"),
    ("C51-C58 female genital organs", "C51", "C58"), ("C60-C63 male genital organs", "C60", "C63"),
    ("C64-C68 urinary tract", "C64", "C68"), ("C69-C75 eye, brain, endocrine glands", "C69", "C75"),
    ("C76-C80 secondary, unspecified", "C76", "C80"), ("C81-C96 lymphoid, blood-forming", "C81", "C97"),
    ("D00-D09 in situ", "D00", "D09"), ("D10-D36 benign", "D10", "D36"), ("D37-D48 uncertain behaviour", "D37", "D48"),
)  # fmt: skip
