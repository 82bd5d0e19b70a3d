package revocation

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A sample is entries of a CRL, one of each reason: what a rule could tell apart in
// entries, other than serial and time. Its zero value is empty.
type sample struct {
	encoded [pki.AACompromise + 1][]byte // by reason
}

// add takes an entry as it stands in the CRL.
func (s *sample) add(reason pki.Reason, encoded []byte) {
	if s.encoded[reason] == nil {
		s.encoded[reason] = bytes.Clone(encoded)
	}
}

// lintCRL reads a list back that has the fields which are about to be signed and the
// sampled entries, compares it with what it was made of, and has Config.LintCRL read
// it. The errors have no kind: a finding is a fault of ours.
func (s *Service) lintCRL(info *tbs.CRLInfo, of *sample) error {
	entries := slices.Concat(of.encoded[:]...)
	list, err := tbs.NewCertList(info, len(entries))
	if err != nil {
		return err
	}
	message := slices.Concat(list.Begin(), entries, list.End())
	c, err := tbs.ParseCRL(tbs.AppendSigned(nil, message, info.Algorithm, nil))
	if err != nil {
		return fmt.Errorf("lint: %w", err)
	}
	switch {
	case !bytes.Equal(c.Issuer, info.Issuer) || !bytes.Equal(c.IssuerKeyID, info.IssuerKeyID):
		err = errors.New("lint: the CRL's issuer is not the issuer (RFC 5280, 5.1.2.3, 5.2.1)")
	case !c.ThisUpdate.Equal(info.ThisUpdate) || !c.NextUpdate.Equal(info.NextUpdate):
		err = errors.New("lint: the CRL's updates are not the intended ones (RFC 5280, 5.1.2.4, 5.1.2.5)")
	case c.Number != info.Number || c.Base != info.Base:
		err = errors.New("lint: the CRL's numbers are not the intended ones (RFC 5280, 5.2.3, 5.2.4)")
	case c.URL != info.URL || c.Freshest != info.Freshest:
		err = errors.New("lint: the CRL's scope is not the intended one (RFC 5280, 5.2.5, 5.2.6)")
	}
	for _, failed := range c.Entries() {
		err = errors.Join(err, failed)
	}
	if err == nil && s.cfg.LintCRL != nil {
		err = s.cfg.LintCRL(message, info.Algorithm)
	}
	return err
}

// lintOCSP reads the ResponseData that is about to be signed and compares it with what
// was asked and what holds (RFC 6960, 4.2.1). zlint has no rules for it. The errors have
// no kind, as those of lintCRL.
func lintOCSP(data []byte, r *Response, singles []tbs.OCSPSingle, nonce []byte) error {
	content, ok := der.ReadOnly(data, asn1.SEQUENCE)
	var id, keyID, produced, list cryptobyte.String
	if !ok || !content.ReadASN1(&id, der.Explicit(2)) || !id.ReadASN1(&keyID, asn1.OCTET_STRING) || !id.Empty() || !bytes.Equal(keyID, r.by.keyID) {
		return errors.New("lint: the OCSP response does not name its responder by key (RFC 6960, 4.2.1)")
	}
	if !content.ReadASN1(&produced, asn1.GeneralizedTime) || !content.ReadASN1(&list, asn1.SEQUENCE) {
		return errors.New("lint: the OCSP response is not well-formed (RFC 6960, 4.2.1)")
	}
	for i := range singles {
		if err := lintSingle(&list, &singles[i], string(produced)); err != nil {
			return err
		}
	}
	if !list.Empty() {
		return errors.New("lint: the OCSP response answers more than was asked (RFC 9919, 3.2.1)")
	}
	if r.NextUpdate.After(r.by.notAfter) {
		return errors.New("lint: the OCSP response outlives its responder (RFC 6960, 4.2.2.2)")
	}
	return lintNonce(content, nonce)
}

// lintSingle reads the answer to the next CertID of the request. Times in DER compare
// as their texts do.
func lintSingle(list *cryptobyte.String, want *tbs.OCSPSingle, produced string) error {
	var single, status, revoked, this, next, explicit cryptobyte.String
	var tag asn1.Tag
	if !list.ReadASN1(&single, asn1.SEQUENCE) || !bytes.HasPrefix(single, want.ID) || !single.Skip(len(want.ID)) {
		return errors.New("lint: an answer of the OCSP response is not about the CertID that was asked (RFC 6960, 4.2.1)")
	}
	if !single.ReadAnyASN1(&status, &tag) || !single.ReadASN1(&this, asn1.GeneralizedTime) ||
		!single.ReadASN1(&explicit, der.Explicit(0)) || !explicit.ReadASN1(&next, asn1.GeneralizedTime) || !explicit.Empty() || !single.Empty() {
		return errors.New("lint: an answer of the OCSP response is not well-formed (RFC 6960, 4.2.1)")
	}
	if string(this) > produced || string(next) <= string(this) {
		return errors.New("lint: thisUpdate is after producedAt, or nextUpdate is not after thisUpdate (RFC 6960, 4.2.2.1)")
	}
	switch {
	case want.Status == tbs.OCSPGood && tag == der.Implicit(0) && status.Empty(),
		want.Status == tbs.OCSPUnknown && tag == der.Implicit(2) && status.Empty():
		return nil
	case want.Status != tbs.OCSPRevoked || tag != der.Explicit(1) || !status.ReadASN1(&revoked, asn1.GeneralizedTime):
		return errors.New("lint: a status of the OCSP response is not the intended one (RFC 6960, 4.2.1)")
	case string(revoked) > produced:
		return errors.New("lint: a revocation of the OCSP response is yet to come (RFC 6960, 4.2.1)")
	}
	reason := int(pki.Unspecified)
	if !status.Empty() && (!status.ReadASN1(&explicit, der.Explicit(0)) || !explicit.ReadASN1Enum(&reason) || !explicit.Empty() || !status.Empty() || reason == int(pki.Unspecified)) {
		return errors.New("lint: a reason of the OCSP response is not well-formed (RFC 6960, 4.2.1)")
	}
	if pki.Reason(reason) != want.Reason || want.Reason == pki.RemoveFromCRL {
		return errors.New("lint: a reason of the OCSP response is not one of a revoked certificate (RFC 6960, 4.2.1)")
	}
	return nil
}

// lintNonce reads what is left of the ResponseData: the request's nonce and nothing
// else.
func lintNonce(rest cryptobyte.String, nonce []byte) error {
	if nonce == nil {
		if !rest.Empty() {
			return errors.New("lint: the OCSP response has extensions that nobody asked for (RFC 6960, 4.4)")
		}
		return nil
	}
	var explicit, list, extension, value, got cryptobyte.String
	var oid string
	if !rest.ReadASN1(&explicit, der.Explicit(1)) || !rest.Empty() || !explicit.ReadASN1(&list, asn1.SEQUENCE) || !explicit.Empty() ||
		!list.ReadASN1(&extension, asn1.SEQUENCE) || !list.Empty() || !der.ReadOID(&extension, &oid) || oid != der.OIDOCSPNonce ||
		!extension.ReadASN1(&value, asn1.OCTET_STRING) || !extension.Empty() || !value.ReadASN1(&got, asn1.OCTET_STRING) || !value.Empty() || !bytes.Equal(got, nonce) {
		return errors.New("lint: the OCSP response does not have the request's nonce alone (RFC 9654, 2.1)")
	}
	return nil
}
