package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"

	"github.com/pando-pki/pando/client"
)

// The endpoint and the place of what is issued.
const (
	endpoint    = "meter"
	estEndpoint = "bench-est"
	lot         = "bench"
)

// issueSingles measures rows 1 and 11: devices that enrol one by one.
func (b *bench) issueSingles(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	err := b.issueOneByOne(ctx, "rest", b.enrolments, func(r *result, limit pace) {
		b.report.add(issueREST, r.cpu/limit.cpu)
		b.report.add(restRate, r.rate/limit.rate)
	})
	if err != nil {
		return err
	}
	if _, err := b.api.CreateEndpoint(ctx, client.NewEndpoint{Name: estEndpoint, Authority: "manufacturing", Profile: endpoint, Protocols: []string{"est"}}); err != nil {
		return err
	}
	return b.issueOneByOne(ctx, "est", b.estEnrolments, func(r *result, limit pace) { b.report.add(issueEST, r.cpu/limit.cpu) })
}

// issueOneByOne measures rounds of a load of n single requests, after one that fills caches.
func (b *bench) issueOneByOne(ctx context.Context, way string, loadOf func(ctx context.Context, n int) (*load, error), found func(r *result, limit pace)) error {
	rate := 500.0 // a guess, which the first load corrects
	for round := range b.rounds + 1 {
		n := max(clients, int(rate*b.length.Seconds()))
		l, err := loadOf(ctx, n)
		if err != nil {
			return err
		}
		r, limit, err := b.measureBesideLimit(ctx, l, 0)
		if err != nil {
			return err
		}
		rate = r.rate
		if round == 0 {
			continue // caches were cold
		}
		found(r, limit)
		b.tell("%s: %d certificates, %.1f µs of CPU each, %.0f a second, p50 %v, p99 %v; %.2f × Limit, %.2f of all cores",
			way, r.requests, r.cpu, r.rate, r.percentile(0.5), r.percentile(0.99), r.cpu/limit.cpu, r.rate/limit.rate)
	}
	return nil
}

// enrolments returns the load of n new devices.
func (b *bench) enrolments(ctx context.Context, n int) (*load, error) {
	return b.enrolmentsAt(ctx, endpoint, n)
}

// enrolmentsAt returns the load of n new devices at an endpoint.
func (b *bench) enrolmentsAt(ctx context.Context, at string, n int) (*load, error) {
	file, err := b.newDevices(ctx, n)
	if err != nil {
		return nil, err
	}
	dial, host, err := b.people()
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for i, csr := range splitPEM(file) {
		r, err := b.post(host, "/enrollments", map[string]string{"Idempotency-Key": fmt.Sprintf("bench %d/%d", b.series, i)},
			client.Enrollment{Endpoint: at, CSR: base64.StdEncoding.EncodeToString(csr), Lot: lot})
		if err != nil {
			return nil, err
		}
		requests = append(requests, r)
	}
	return &load{clients: clients, dial: dial, status: http.StatusCreated, requests: slices.Values(requests)}, nil
}

// estEnrolments is enrolments over EST, which has no word for a lot.
func (b *bench) estEnrolments(ctx context.Context, n int) (*load, error) {
	file, err := b.newDevices(ctx, n)
	if err != nil {
		return nil, err
	}
	dial, host, err := b.listener(b.file.Devices)
	if err != nil {
		return nil, err
	}
	header := map[string]string{"Authorization": "Bearer " + b.file.Token.Reveal(), "Content-Type": "application/pkcs10"}
	var requests [][]byte
	for _, csr := range splitPEM(file) {
		body := base64.StdEncoding.AppendEncode(nil, csr)
		requests = append(requests, message("POST", host, "/.well-known/est/demo."+estEndpoint+"/simpleenroll", header, body))
	}
	return &load{clients: clients, dial: dial, status: http.StatusOK, requests: slices.Values(requests)}, nil
}
