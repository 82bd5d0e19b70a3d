package scep

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// certificates returns what GetCACert tells of an RA: its two certificates and the
// authority's, with those above it, by which clients follow from a root to the next.
func (ra *RA) certificates() [][]byte {
	return slices.Concat([][]byte{ra.Signer.Certificate, ra.Recipients[0].Certificate}, ra.Chain, ra.Links)
}

// capabilities returns what GetCACaps answers (RFC 8894, 3.5.2): GetNextCACert while there
// is something to get.
func (ra *RA) capabilities() string {
	all := capabilities
	if ra.Next != nil {
		all = append([]string{"GetNextCACert"}, all...)
	}
	return strings.Join(all, "\n") + "\n"
}

// getNextCACert serves GetNextCACert (RFC 8894, 4.7): what GetCACert will answer once the
// authority is switched to its next issuer, signed by what signs answers now.
func getNextCACert(w http.ResponseWriter, r *http.Request, ra *RA) error {
	if ra.Next == nil {
		return pki.Errorf(pki.NotFound, "the authority has no next certificate at present")
	}
	certificates, err := cms.CertsOnly(ra.Next.certificates())
	if err != nil {
		return err
	}
	message, err := cms.Sign(cms.Message{Content: certificates, Certificates: [][]byte{ra.Signer.Certificate}},
		cms.Signer{Key: ra.Signer.Key, Certificate: ra.Signer.Certificate})
	if err != nil {
		return err
	}
	write(w, r, "application/x-x509-next-ca-cert", message)
	return nil
}

// openBy opens the envelope by the keys that it is for: those of now, or of an issuer
// before, which is what the client knows and is answered by then. Whom an envelope is for
// is no secret.
func (op *operation) openBy() (err error) {
	op.content, op.cipher, err = op.open(op.ra.Recipients, op.ra.Legacy)
	all := op.ra
	for _, earlier := range all.Earlier {
		if !errors.Is(err, cms.ErrRecipient) {
			return err
		}
		op.content, op.cipher, err = op.open(earlier.Recipients, op.ra.Legacy)
		if !errors.Is(err, cms.ErrRecipient) {
			earlier := *earlier
			earlier.Legacy, earlier.Earlier = all.Legacy, append([]*RA{all}, all.Earlier...)
			op.ra = &earlier
		}
	}
	return err
}

// issuerOf returns the issuer of the endpoint's authority that has the name, of several
// with one name the one that signed the certificate; nil where none has it.
func (op *operation) issuerOf(ctx context.Context, name []byte, serial pki.Serial) (*pki.Issuer, error) {
	var named *pki.Issuer
	for _, ra := range append([]*RA{op.ra}, op.ra.Earlier...) {
		issuer, err := tbs.ParseCertificate(ra.Issuer.Certificate)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(name, issuer.Subject) {
			continue
		}
		_, err = op.server.cfg.Certificates.Certificate(ctx, op.tenant(), ra.Issuer.ID, serial)
		switch {
		case err == nil:
			return ra.Issuer, nil
		case pki.KindOf(err) != pki.NotFound:
			return nil, err
		case named == nil:
			named = ra.Issuer
		}
	}
	return named, nil
}
