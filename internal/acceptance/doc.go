// Package acceptance tests pando as its users meet it: the real binary, built
// once, with its processes, files, listeners and signals, judged by openssl,
// curl, strace and zlint, and by pando's own invariant checker after each run.
//
// It has tests alone, all under the build tag system. Those with chance in them
// print a seed; PANDO_TEST_SEED sets it. Times and rates are printed (-v) and
// never compared with a goal: a limit on time here only tells slow from hung.
package acceptance
