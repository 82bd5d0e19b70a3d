// Package simulate plays those outside: a meter maker's own server, which makes
// keys and requests, submits them, and checks what comes back.
//
// It uses crypto/x509 and encoding/asn1 and none of pando's own encoders and
// parsers, on purpose: what it accepts, others will.
package simulate
