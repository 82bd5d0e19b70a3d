package restapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

type enrollInput struct {
	Caller
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"128" doc:"Makes the same request the same certificate, however often it is sent."`
	Body           client.Enrollment
}

// enrolled is 201 with a new certificate, or 200 with that of the same request
// before.
type enrolled struct {
	Status int
	Body   client.Enrolled
}

func (s *server) enroll(ctx context.Context, g access.Permit, in *enrollInput) (*enrolled, error) {
	if in.Body.Endpoint == "" {
		return nil, pki.Errorf(pki.Malformed, "endpoint: name one")
	}
	request, err := enrollRequest(g, in)
	if err != nil {
		return nil, s.noteRefusal(ctx, g, in.Body.Endpoint, err)
	}
	got, err := s.cfg.Enroll.Enroll(ctx, request)
	if err != nil {
		return nil, err
	}
	out := &enrolled{http.StatusCreated, wireEnrolled(got)}
	if got.Repeated {
		out.Status = http.StatusOK
	}
	out.Body.Profile = s.hashedProfileRef(ctx, g.Principal(), got.Certificate.Profile)
	if c := got.Pair; c != nil {
		out.Body.Pair = &client.EnrolledPair{
			Serial: c.Serial.String(), Profile: s.hashedProfileRef(ctx, g.Principal(), c.Profile),
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, Certificate: certificatePEM(c.DER),
		}
	}
	return out, nil
}

// enrollRequest returns what is asked for.
func enrollRequest(g access.Permit, in *enrollInput) (enroll.Request, error) {
	csr, err := readCSR(in.Body.CSR)
	if err != nil {
		return enroll.Request{}, err
	}
	request := enroll.Request{
		Grant: g, Endpoint: in.Body.Endpoint, Protocol: pki.ProtocolREST, Idempotency: in.IdempotencyKey,
		Subject: enroll.Subject{
			CSR: csr, Device: pki.DeviceID(in.Body.Device), Attributes: in.Body.Attributes,
			Placement: pki.Placement{ProductLine: in.Body.ProductLine, Lot: in.Body.Lot, Site: in.Body.Site},
		},
	}
	if p := in.Body.Pair; p != nil {
		if p.Endpoint == "" {
			return enroll.Request{}, pki.Errorf(pki.Malformed, "pair: endpoint: name one")
		}
		request.Pair = &enroll.Pair{Endpoint: p.Endpoint}
		if request.Pair.CSR, err = readCSR(p.CSR); err != nil {
			return enroll.Request{}, err
		}
	}
	return request, nil
}

// noteRefusal has operators see what is refused here at an endpoint, its name or label. Of
// another tenant's endpoint nothing is noted: its book is not for strangers to write in.
func (s *server) noteRefusal(ctx context.Context, g access.Permit, endpoint string, err error) error {
	tenant, name, labelled := strings.Cut(endpoint, ".")
	if !labelled {
		name = endpoint
	} else if pki.TenantID(tenant) != g.Tenant() {
		return err
	}
	return s.cfg.Enroll.NoteRefusal(ctx, enroll.Refusal{
		Label: string(g.Tenant()) + "." + name, Protocol: pki.ProtocolREST, Who: g.Principal(),
	}, err)
}

// wireEnrolled leaves the profile to the caller.
func wireEnrolled(e *pki.Enrollment) client.Enrolled {
	c := e.Certificate
	out := client.Enrolled{
		Issuer: string(c.Issuer), Serial: c.Serial.String(), Device: string(c.Device),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Certificate: certificatePEM(c.DER), Repeated: e.Repeated,
		Chain: make([]string, len(e.Chain)),
	}
	for i, der := range e.Chain {
		out.Chain[i] = certificatePEM(der)
	}
	return out
}
