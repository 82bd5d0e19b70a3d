package validator

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// patience is how long a validator may take to answer, with all that comes before. A device
// waits for it.
const patience = 8 * time.Second

// unreachableAt is how many questions in a row without an answer are an alarm, different ones
// where the service saw them: one that it cannot cope with is no silence.
const unreachableAt = 3

// A Service asks validators. Its methods are safe for concurrent use.
type Service struct {
	cfg        Config
	validators map[string]*validator

	mu      sync.Mutex
	telling map[string]bool // names of those that have a round under way; guarded by mu
}

// A validator is one of them, with how it does.
type validator struct {
	Settings
	remote  *remote
	answers stat.Answers

	mu      sync.Mutex
	silent  [][32]byte // hashes of the requests that had no answer since the last, up to unreachableAt; guarded by mu
	raised  bool
	waiting bool // an alarm stands that it is to be told something; guarded by mu
}

// Answers calls f for each validator with what it answered to this process.
func (s *Service) Answers(f func(name string, a *stat.Answers)) {
	for name, v := range s.validators {
		f(name, &v.answers)
	}
}

// New returns a Service.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, validators: make(map[string]*validator), telling: make(map[string]bool)}
	for _, settings := range cfg.Validators {
		s.validators[settings.Name] = &validator{Settings: settings, remote: newRemote(settings, cfg.Now)}
	}
	return s
}

// Check implements enroll.Validators.
func (s *Service) Check(tenant pki.TenantID, name string) error {
	_, err := s.find(tenant, name)
	return err
}

// find returns a validator that a tenant's endpoints may name, or NotFound.
func (s *Service) find(tenant pki.TenantID, name string) (*validator, error) {
	v := s.validators[name]
	if v == nil || !slices.Contains(v.Tenants, tenant) {
		return nil, pki.Errorf(pki.NotFound, "no validator %.40q: the operator of this server configures them, under scep.validators, and says which tenants may name them", name)
	}
	return v, nil
}

// Validate implements enrolauth.Validators.
func (s *Service) Validate(ctx context.Context, tenant pki.TenantID, name, transaction string, request []byte) error {
	v, err := s.find(tenant, name)
	if err != nil {
		return pki.Because(pki.Unavailable, err, "the endpoint names the validator %s, which this server does not have for it", name)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said, err := v.remote.post(ctx, "validateRequest", question{Request: asked{
		Transaction: transaction, Request: base64.StdEncoding.EncodeToString(request), Caller: caller,
	}})
	s.heard(v, request, err)
	switch {
	case err != nil:
		err = pki.Because(kindOfFailure(err), err, "the validator %s gave no answer that counts: %s", v.Name, plain(err))
	default:
		err = said.judge(v.Name)
	}
	v.count(ctx, err)
	return err
}

// count counts what became of a question, unless the client went away meanwhile.
func (v *validator) count(ctx context.Context, err error) {
	switch {
	case err == nil:
		v.answers.Yes.Add(1)
	case !errors.Is(context.Cause(ctx), context.Canceled):
		v.answers.No.Add(pki.KindOf(err))
	}
}

// heard counts whether a validator answered about a request, for the alarm.
func (s *Service) heard(v *validator, request []byte, err error) {
	if errors.Is(err, context.Canceled) { // the client went away
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	const name = "validator.unreachable"
	if err == nil || kindOfFailure(err) != pki.Unavailable {
		if v.silent = nil; v.raised {
			v.raised = false
			s.clear(v, name)
		}
		return
	}
	if of := sha256.Sum256(request); len(v.silent) < unreachableAt && (!ofRequest(err) || !slices.Contains(v.silent, of)) {
		v.silent = append(v.silent, of)
	}
	if len(v.silent) >= unreachableAt {
		v.raised = true
		s.raise(v, name, alarm.Critical,
			fmt.Sprintf("The validator %s, which checks challenges of SCEP, gives no answer: nothing is issued at the endpoints that name it.", v.Name),
			fmt.Sprintf("It is asked in vain for this: %s. See whether its service runs and can be reached from here, and whether the client's secret under scep.validators has ended.", plain(err)))
	}
}
