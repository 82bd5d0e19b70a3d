// Package pandotest makes what tests need at test time: CAs, keys, certificate
// signing requests good and bad, and clocks. It is imported by tests alone.
//
// It encodes with crypto/x509 and not with pando's own encoders, so that a test
// has a second opinion.
package pandotest
