// Package tbs encodes what certification authorities, requesters and responders
// sign, and reads it back strictly: certificates and CRLs (RFC 5280), requests
// (RFC 2986) and OCSP (RFC 6960, RFC 9654). It also has the public keys and the
// signature algorithms that go with them.
//
// Encoders put down what they are given, in DER, and refuse what RFC 5280 forbids
// on its face. What should be in a certificate is decided elsewhere: in policy.
// Certificates are encoded from parts that a Template computes once for each
// issuer and profile; everything appends to the caller's buffer. Readers accept
// DER only, bound what they count, and share memory with their input: bytes that
// were parsed must not change as long as the result is used.
//
// The package does not build or validate paths, keeps no keys and reads no files.
package tbs
