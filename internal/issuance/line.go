package issuance

import (
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Line is an active authority with the issuer that signs for it now. It is
// made by hierarchy and not changed.
type Line struct {
	Authority pki.Authority
	Issuer    pki.Issuer
	Parsed    *tbs.Parsed // the issuer's certificate
	Chain     [][]byte    // DER: the issuer's certificate and up to, without, the root
	Hardware  bool        // the key is in a hardware module
}
