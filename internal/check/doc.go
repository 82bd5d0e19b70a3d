// Package check reads a whole store and reports every invariant of issuance and
// status that does not hold. It trusts nothing that it can compute anew: not a
// column, not an index, not the encoder that made a certificate.
//
// It reads only, holds a page of certificates and one CRL at a time (what must be
// sorted is spilled to a temporary file), and verifies signatures on all cores.
// The store must be at rest: what is written while the checker reads may be
// reported as missing.
//
// Whether the logs are those of their anchors, outside the store, is not checked here.
package check
