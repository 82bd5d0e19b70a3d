package restapi

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/intake"
	"github.com/pando-pki/pando/internal/pki"
)

// meaning returns the HTTP status of a kind, and its title.
func meaning(k pki.Kind) (status int, title string) {
	switch k {
	case pki.Malformed:
		return http.StatusBadRequest, "The request is malformed"
	case pki.BadProof:
		return http.StatusBadRequest, "The proof of possession does not hold"
	case pki.BadKey:
		return http.StatusBadRequest, "The key is not acceptable"
	case pki.PolicyRefused:
		return http.StatusForbidden, "Policy refuses the request"
	case pki.Forbidden:
		return http.StatusForbidden, "Whoever asks may not do this"
	case pki.QuotaExceeded:
		return http.StatusForbidden, "The quota is used up"
	case pki.Unauthenticated:
		return http.StatusUnauthorized, "The request does not prove who asks"
	case pki.NotFound:
		return http.StatusNotFound, "There is no such thing"
	case pki.AlreadyRevoked:
		return http.StatusConflict, "The certificate is revoked already"
	case pki.DuplicateKey:
		return http.StatusConflict, "The key is in use"
	case pki.Conflict:
		return http.StatusConflict, "The request conflicts with what is there"
	case pki.NotReady:
		return http.StatusConflict, "It is too early for this"
	case pki.RateLimited:
		return http.StatusTooManyRequests, "Too many requests"
	case pki.Unavailable:
		return http.StatusServiceUnavailable, "The service is not available now"
	case pki.Pending:
		return http.StatusAccepted, "The request waits for approval"
	default:
		return http.StatusInternalServerError, "The server failed"
	}
}

// comeAgain is the Retry-After of an error that does not say.
const comeAgain = 5 * time.Second

// refusal is an error as huma sends it: a problem with its status and headers.
type refusal struct{ client.Problem }

// newRefusal makes the problem document of an error.
func newRefusal(err error) *refusal {
	kind := pki.KindOf(err)
	status, title := meaning(kind)
	p := client.Problem{Type: problemType(kind), Title: title, Status: status, Detail: pki.DetailOf(err), Kind: kind.String()}
	if r, ok := errors.AsType[*access.Refusal](err); ok && kind == pki.Forbidden {
		p.Permission, p.Scope = string(r.Permission), r.Scope.String()
	}
	if p.Permission == "" {
		p.Why = string(pki.WhyOf(err))
	}
	if kind == pki.RateLimited || kind == pki.Unavailable {
		p.RetryAfter = retryAfter(err)
	}
	return &refusal{p}
}

func problemType(k pki.Kind) string { return "urn:pando:error:" + k.String() }

// GetStatus returns the status to answer with.
func (f *refusal) GetStatus() int { return f.Status }

// GetHeaders returns the headers that belong to the status.
func (f *refusal) GetHeaders() http.Header {
	h := http.Header{}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="pando"`)
	}
	return h
}

// ContentType returns the media type of problems.
func (f *refusal) ContentType(string) string { return "application/problem+json" }

// problemOf turns what huma sends as an error into a problem: our own refusals,
// and huma's about bodies and parameters. It is a huma.Transformer.
func (s *server) problemOf(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *waiting:
		return &e.Change, nil
	case *refusal:
		return &e.Problem, nil
	case *huma.ErrorModel:
		if e.Status >= http.StatusInternalServerError {
			f := s.refuse(ctx.Context(), ctx.(*authorized).fault(e))
			ctx.(*authorized).status = f.Status
			return &f.Problem, nil
		}
		detail := e.Detail
		if detail == "validation failed" { // so huma says it
			detail = "the request is not as the API describes it"
		}
		p := malformed(e.Status, detail)
		for _, d := range e.Errors {
			p.Errors = append(p.Errors, client.FieldError{Location: d.Location, Message: inOurWords(d)})
		}
		return p, nil
	default:
		return v, nil
	}
}

// malformed makes a problem of kind Malformed with a more precise status.
func malformed(status int, detail string) *client.Problem {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	_, title := meaning(pki.Malformed)
	return &client.Problem{Type: problemType(pki.Malformed), Title: title, Status: status, Detail: detail, Kind: pki.Malformed.String()}
}

// refusal logs what an error hides and returns what to send.
func (s *server) refusal(ctx context.Context, err error) error {
	if w := waitingFor(err); w != nil {
		return w
	}
	return s.refuse(ctx, err)
}

// refuse is refusal of an error that stands for no answer.
func (s *server) refuse(ctx context.Context, err error) *refusal {
	err = blame(err)
	s.report(ctx, err)
	return newRefusal(err)
}

// fail answers a request with an error, outside of huma.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if waits := waitingFor(err); waits != nil {
		waits.write(w)
		return
	}
	f := s.refuse(r.Context(), err)
	for name, values := range f.GetHeaders() {
		w.Header()[name] = values
	}
	writeProblem(w, &f.Problem)
}

// shed answers a request that finds no place, at as little cost as can be: nothing
// is logged, and what is left of its body is not waited for.
func (s *server) shed(w http.ResponseWriter, _ *http.Request, err error) {
	f := newRefusal(err)
	for name, values := range f.GetHeaders() {
		w.Header()[name] = values
	}
	writeProblem(w, &f.Problem)
}

func writeProblem(w http.ResponseWriter, p *client.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// What fails now is the connection, and nobody is left to be told.
	_ = json.MarshalWrite(w, p)
}

// report logs an error that says more than its answer shows.
func (s *server) report(ctx context.Context, err error) {
	level := slog.LevelInfo
	switch kind := pki.KindOf(err); {
	case ctx.Err() != nil: // the client went away: whatever failed, failed for that
		level = slog.LevelDebug
	case kind == pki.Internal:
		level = slog.LevelError
	case kind == pki.Unavailable:
		level = slog.LevelWarn
	case !hasCause(err):
		return
	}
	s.log.Log(ctx, level, "request failed", "request", intake.RequestID(ctx), "kind", pki.KindOf(err).String(), "error", err)
}

// hasCause reports whether err says more than pki.DetailOf shows of it.
func hasCause(err error) bool { return err.Error() != pki.DetailOf(err) }

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*pki.Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return comeAgain
}
