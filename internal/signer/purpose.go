package signer

import (
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// A Purpose is a kind of structure to sign. What Sign checks of each is its
// outer shape, element by element, to the last octet, so that no octets pass as
// two purposes and nothing stands before or after the structure; the content of
// names, times and extensions is the business of the linter and the encoder.
type Purpose int

// The purposes.
const (
	// Certificate is a TBSCertificate (RFC 5280, 4.1) of version 3 with the
	// signing key's AlgorithmIdentifier, by a CA key.
	Certificate Purpose = iota + 1
	// CRL is a TBSCertList (RFC 5280, 5.1) of version 2 with the signing key's
	// AlgorithmIdentifier, by a CA key. Its entries are not looked into.
	CRL
	// OCSP is a ResponseData (RFC 6960, 4.2.1) whose responder is the hash of
	// the signing key, by an OCSP key.
	OCSP
	// Request is a CertificationRequestInfo (RFC 2986, 4.1) for the signing key
	// itself, by any key.
	Request
	// Checkpoint is the text of a log's checkpoint (see package audit), by a log
	// key.
	Checkpoint
	// LotReport is the text of a report of what became of a lot, as a note has it,
	// by a key for lot reports. It is in JSON after a line that nothing else has.
	LotReport
)

// String returns the purpose as it stands in errors.
func (p Purpose) String() string {
	switch p {
	case Certificate:
		return "certificate"
	case CRL:
		return "CRL"
	case OCSP:
		return "OCSP response"
	case Request:
		return "certification request"
	case Checkpoint:
		return "checkpoint"
	case LotReport:
		return "lot report"
	default:
		return fmt.Sprintf("unknown purpose %d", int(p))
	}
}

// allows reports whether a key of the given use signs for the purpose.
func (p Purpose) allows(use keystore.Use) error {
	ok := false
	switch p {
	case Certificate, CRL:
		ok = use == keystore.UseCA
	case OCSP:
		ok = use == keystore.UseOCSP
	case Checkpoint:
		ok = use == keystore.UseLog
	case LotReport:
		ok = use == keystore.UseLotReport
	case Request:
		ok = slices.Contains(keystore.Uses(), use)
	}
	if !ok {
		return pki.Errorf(pki.Forbidden, "a key for use %s does not sign a %s", use, p)
	}
	return nil
}
