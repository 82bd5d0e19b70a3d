package restapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// CertificateName is the issuer and the serial number in the path of an act. It is
// exported for huma to fill it in.
type CertificateName struct {
	Issuer string `path:"issuer" doc:"Id of the issuer, which an act names."`
	Serial string `path:"serial" doc:"In hexadecimal."`
}

type releaseInput struct {
	Caller
	CertificateName
}

type revokeInput struct {
	Caller
	CertificateName
	Body client.Revocation
}

// anyIssuer stands in a path for the issuer that alone has a serial.
const anyIssuer = "-"

// readName returns the certificate that the path of a route names which reads.
func (s *server) readName(r *http.Request, g access.Permit) (pki.IssuerID, pki.Serial, error) {
	issuer, text := pki.IssuerID(r.PathValue("issuer")), r.PathValue("serial")
	serial, err := pki.ParseSerial(text)
	if err != nil || issuer != anyIssuer {
		return issuer, serial, err
	}
	found, err := s.cfg.Trace.Find(r.Context(), g, "", text)
	if err != nil {
		return "", serial, err
	}
	return found.Issuer, serial, nil
}

// parse returns the certificate that the path of an act names: no other one may become
// that which it is about, as where a second issuer comes to have the serial.
func (n CertificateName) parse() (pki.IssuerID, pki.Serial, error) {
	serial, err := pki.ParseSerial(n.Serial)
	if err == nil && n.Issuer == anyIssuer {
		err = pki.Errorf(pki.Malformed, "issuer: - for any is for what reads: an act names the issuer, which GET /certificates/-/%s tells", serial)
	}
	return pki.IssuerID(n.Issuer), serial, err
}

// getCertificate serves GET /certificates/{issuer}/{serial}: JSON with the
// status, or the certificate alone in DER or with its chain in PEM, by Accept.
func (s *server) getCertificate(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	issuer, serial, err := s.readName(r, g)
	if err != nil {
		return err
	}
	c, err := s.cfg.Enroll.Certificate(r.Context(), g, issuer, serial)
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	switch negotiation.SelectQValueFast(r.Header.Get("Accept"), []string{mediaJSON, mediaPEMChain, mediaDER}) {
	case mediaDER:
		w.Header().Set("Content-Type", mediaDER)
		_, _ = w.Write(c.DER) // what fails now is the connection
		return nil
	case mediaPEMChain:
		chain, err := s.cfg.Hierarchy.Chain(r.Context(), c.Issuer)
		if err != nil {
			return err
		}
		return writePEM(w, append([][]byte{c.DER}, chain...))
	}
	status, err := s.cfg.Status.Status(r.Context(), c.Issuer, c.Serial)
	if err != nil {
		return err
	}
	out := s.wireCertificate(r.Context(), g, c)
	out.Status = s.statusNow(status)
	return writeJSON(w, http.StatusOK, out)
}

func certificatePathDoc() map[string]string {
	return map[string]string{"issuer": "Id of the issuer, or - for any, where one alone has the serial.", "serial": "In hexadecimal."}
}

func getCertificateDoc() document {
	return document{
		id: "get-certificate", summary: "Get a certificate",
		path:        certificatePathDoc(),
		description: "JSON has the status too. application/pkix-cert is the certificate alone in DER, application/pem-certificate-chain is it and those above it, with the root.",
		status:      http.StatusOK,
		response:    []media{{mediaJSON, reflect.TypeFor[client.Certificate]()}, {mediaPEMChain, nil}, {mediaDER, nil}},
	}
}

func (s *server) revokeCertificate(ctx context.Context, g access.Permit, in *revokeInput) (*answer[client.Status], error) {
	issuer, serial, err := in.parse()
	if err != nil {
		return nil, err
	}
	reason, err := pki.ParseReason(in.Body.Reason)
	if err != nil {
		return nil, err
	}
	status, err := s.cfg.Revocation.Revoke(ctx, g, issuer, serial, reason)
	if err != nil {
		return nil, err
	}
	return &answer[client.Status]{*s.statusNow(status)}, nil
}

func (s *server) releaseCertificate(ctx context.Context, g access.Permit, in *releaseInput) (*answer[client.Status], error) {
	issuer, serial, err := in.parse()
	if err != nil {
		return nil, err
	}
	status, err := s.cfg.Revocation.Release(ctx, g, issuer, serial)
	if err != nil {
		return nil, err
	}
	return &answer[client.Status]{*s.statusNow(status)}, nil
}

func (s *server) wireCertificate(ctx context.Context, g access.Permit, c *pki.Certificate) client.Certificate {
	c = c.SeenBy(g.Tenant())
	return client.Certificate{
		Issuer: string(c.Issuer), Serial: c.Serial.String(), Device: string(c.Device), Owner: string(c.Owner),
		ProductLine: c.ProductLine, Lot: c.Lot, Site: c.Site, Profile: s.hashedProfileRef(ctx, g.Principal(), c.Profile),
		Batch: string(c.Batch), Row: c.Row, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Issued: c.Issued,
		Fingerprint: fingerprint(c.DER), Certificate: certificatePEM(c.DER),
	}
}

// wireFound is wireCertificate of what a search found.
func (s *server) wireFound(ctx context.Context, g access.Permit, f *registry.Found) client.Certificate {
	c := s.wireCertificate(ctx, g, f.Certificate)
	c.Cursor, c.Status = f.Cursor, wireStatus(f.Status, f.Revocation)
	return c
}

// fingerprint returns the SHA-256 of a certificate, in hexadecimal.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// statusNow is what a search says of a certificate's status, of one that was looked up by
// its name.
func (s *server) statusNow(known revocation.Status) *client.Status {
	return wireStatus(registry.StatusOf(known.NotAfter, s.cfg.Now(), known.Revocation), known.Revocation)
}

// wireStatus returns a status, with the entry that holds or nil.
func wireStatus(status registry.Status, r *pki.Revocation) *client.Status {
	out := &client.Status{State: string(status)}
	if r != nil {
		out.Reason, out.At = r.Reason.String(), r.At
	}
	return out
}
