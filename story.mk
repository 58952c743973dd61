# make story: real kernels, real drivers, the real zypper, and what it leaves booted; see tests/story.
.PHONY: story

story: system-packages $(VENV)/tested
	@$(BIN)/python -m tests.story
