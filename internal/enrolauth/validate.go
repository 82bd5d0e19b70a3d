package enrolauth

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// Validators ask services outside whether the challenge of a request holds; package
// validator does.
type Validators interface {
	// Validate is nil where the validator takes a request (DER, with its challenge). Where it
	// does not it is Unauthenticated, for the proof, or PolicyRefused, for what is asked for;
	// where it gave no answer that counts, Unavailable. The detail is for the operator.
	Validate(ctx context.Context, tenant pki.TenantID, name, transaction string, request []byte) error
	// Check is NotFound where a tenant has no such validator.
	Check(tenant pki.TenantID, name string) error
}

// validatedPrefix begins the ids of those whose challenge the validator of an endpoint took:
// of the endpoint, the validator and a keyed hash of the challenge, which tells them apart.
const validatedPrefix = "challenge:"

// challengeHash is how many bytes of the hash an id has.
const challengeHash = 10

// Validated reports whether a principal, by its id, is one whose challenge a validator took.
func Validated(id string) bool { return strings.HasPrefix(id, validatedPrefix) }

// took returns the endpoint and the validator in the id of one whose challenge that took.
func took(id string) (endpoint, validator string) {
	endpoint, rest, _ := strings.Cut(strings.TrimPrefix(id, validatedPrefix), "/")
	validator, _, _ = strings.Cut(rest, "/")
	return endpoint, validator
}

// Asker returns for whom limits count what somebody sends. One challenge is as one device.
func Asker(who access.Principal) limit.Asker {
	as := limit.Asker{Known: who.ID != "", Tenant: who.Tenant, Device: who.Device}
	if Validated(who.ID) && who.Device == "" {
		as.Device = "with challenge " + pki.DeviceID(who.ID[strings.LastIndexByte(who.ID, '/')+1:]) // no device has blanks
	}
	return as
}

// How many requests may wait for validators at once, in all, from one source, and at the
// endpoints of a family of tenants.
const (
	maxAsked       = 256
	maxAskedSource = 16
	maxAskedFamily = 64
)

// validatedLife is for how long an endpoint's validator has said that a request is good.
const validatedLife = 5 * time.Minute

// byValidator returns whoever sent a request whose challenge the validator of the endpoint
// takes. It is good for what the endpoint enrols: that it is for this request is the
// validator's word, which saw it whole.
func (s *Service) byValidator(ctx context.Context, ep *pki.Endpoint, p *Presented) (access.Principal, error) {
	if len(p.Request) == 0 || p.Secret.IsZero() {
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "challenges of this endpoint are checked by the validator %s, which sees requests with theirs alone", ep.Validator)
	}
	family := s.cfg.Family.Of(ep.Tenant)
	leave, err := s.asked.enter(limit.SourceOf(p.Remote), family)
	if err != nil {
		return access.Principal{}, err
	}
	defer leave()
	if err := s.cfg.Validators.Validate(ctx, ep.Tenant, ep.Validator, p.Transaction, p.Request); err != nil {
		return access.Principal{}, validatorsError{err}
	}
	p.taken = ep.Validator
	hash := s.cfg.Keyed.MAC("challenge of "+ep.Label(), []byte(p.Secret.Reveal()))[:challengeHash]
	return s.validated(ep, validatedPrefix+ep.Name+"/"+ep.Validator+"/"+hex.EncodeToString(hash)), nil
}

func (s *Service) validated(ep *pki.Endpoint, id string) access.Principal {
	return access.Principal{
		Tenant: ep.Tenant, ID: id, Name: "taken by the validator " + ep.Validator,
		Grants: access.Given(access.Enroller, access.Scope{Endpoint: ep.Name}), Expires: s.cfg.Now().Add(validatedLife), Proofs: pki.BySecret,
	}
}

// waited returns whoever a validator took before, for what waited for approval since. It is
// Unauthenticated where nobody would ask that validator any more: the endpoint names another
// or none, or the operator took it out of the configuration. Its word is worth nothing then.
func (s *Service) waited(ctx context.Context, tenant pki.TenantID, id string) (access.Principal, error) {
	name, by := took(id)
	ep, err := s.cfg.Store.Endpoint(ctx, tenant, name)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return access.Principal{}, pki.Because(pki.Unauthenticated, err, "there is no endpoint %s any more", name)
	case err != nil:
		return access.Principal{}, err
	case by == "" || ep.Validator != by:
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "the endpoint %s does not name the validator any more that took the request: the device is to ask anew", name)
	}
	if err := s.cfg.Validators.Check(tenant, by); err != nil {
		return access.Principal{}, pki.Because(pki.Unauthenticated, err, "the validator %s, which took the request, is not in this server's configuration any more, or not for this tenant: the device is to ask anew", by)
	}
	return s.validated(ep, id), nil
}

// A validatorsError is a validator's refusal, or that it gave no answer. What it says is for
// the operator.
type validatorsError struct{ error }

func (e validatorsError) Unwrap() error { return e.error }

func isValidators(err error) bool {
	_, ok := errors.AsType[validatorsError](err)
	return ok
}

// answerAgain is when a client may come again whose challenge could not be checked.
const answerAgain = 10 * time.Second

// outward returns what a client is told of a validator's refusal, or of its silence.
func outward(err error) error {
	if pki.KindOf(err) == pki.Unavailable {
		return &pki.Error{Kind: pki.Unavailable, Detail: "challenges cannot be checked at present; send the request again", Cause: err, RetryAfter: answerAgain}
	}
	return pki.Because(pki.KindOf(err), err, "whoever gave out the challenge does not take this request")
}

// bySecretOrValidator returns whoever holds a secret: at an endpoint with a validator, whose
// challenge of SCEP that one takes, and nobody else.
func (s *Service) bySecretOrValidator(ctx context.Context, tenant pki.TenantID, endpoint string, p *Presented) (access.Principal, error) {
	if p.Protocol == pki.ProtocolSCEP {
		ep, err := s.cfg.Store.Endpoint(ctx, tenant, endpoint)
		switch {
		case pki.KindOf(err) == pki.NotFound:
			return access.Principal{}, pki.Because(pki.Unauthenticated, err, "there is no endpoint %.90q", endpoint)
		case err != nil:
			return access.Principal{}, err
		case ep.Validator != "":
			return s.byValidator(ctx, ep, p)
		}
	}
	return s.bySecret(ctx, tenant, endpoint, p)
}

// sourceOf returns where a request came from, as it is shown.
func sourceOf(remote string) string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return from.Addr().String()
}
