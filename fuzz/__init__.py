"""One fuzz target for each untrusted door; `fuzz.harness` tells how to run and write them."""
