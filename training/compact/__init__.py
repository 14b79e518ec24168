"""The two small models that ship, trained from scratch on the corpus.

encoder   a static table per axis, with code prototypes
model     the language model: a token per code, starting from the encoder's tables
batches   its batches, drawn from the corpus

tokenizer = train_tokenizer(texts)
table = train_axis(lines, queries, codes, tokenizer, Settings())
model = new_model(code_tokenizer(tokenizer, codes), {CodeSystem.ICD10GM: table})
"""
