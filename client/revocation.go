package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// StartRevocation creates a job that revokes, holds or releases many certificates,
// and starts it, or its dry run. idempotencyKey makes the same request the same
// job, however often it is sent; it has at most 128 bytes, and empty is none.
func (c *Client) StartRevocation(ctx context.Context, n NewRevocationJob, idempotencyKey string) (*RevocationJob, error) {
	j := new(RevocationJob)
	return orNil(j, c.do(ctx, call{method: http.MethodPost, path: "/revocations", idempotency: idempotencyKey}, n, j))
}

// RevocationJobs returns up to limit of the tenant's jobs, newest first, that come
// before the given id ("" from the newest).
func (c *Client) RevocationJobs(ctx context.Context, before string, limit int) (*List[RevocationJob], error) {
	return get[List[RevocationJob]](ctx, c, "/revocations", page("before", before, limit))
}

// RevocationJob returns a job with its counts.
func (c *Client) RevocationJob(ctx context.Context, id string) (*RevocationJob, error) {
	return get[RevocationJob](ctx, c, revocationPath(id), nil)
}

// RevocationCounts returns up to limit of a job's counts by issuer and CRL shard,
// after the given cursor ("" from the first).
func (c *Client) RevocationCounts(ctx context.Context, id, cursor string, limit int) (*List[RevocationCount], error) {
	return get[List[RevocationCount]](ctx, c, revocationPath(id)+"/counts", page("cursor", cursor, limit))
}

// RunRevocation starts a job that was counted.
func (c *Client) RunRevocation(ctx context.Context, id string) (*RevocationJob, error) {
	return post[RevocationJob](ctx, c, revocationPath(id)+"/run", nil)
}

// PauseRevocation halts a running job; the step in flight is finished.
func (c *Client) PauseRevocation(ctx context.Context, id string) (*RevocationJob, error) {
	return post[RevocationJob](ctx, c, revocationPath(id)+"/pause", nil)
}

// ResumeRevocation lets a paused job go on.
func (c *Client) ResumeRevocation(ctx context.Context, id string) (*RevocationJob, error) {
	return post[RevocationJob](ctx, c, revocationPath(id)+"/resume", nil)
}

// CancelRevocation ends a job; what was revoked stays revoked.
func (c *Client) CancelRevocation(ctx context.Context, id string) (*RevocationJob, error) {
	return post[RevocationJob](ctx, c, revocationPath(id)+"/cancel", nil)
}

// WatchRevocation yields the job now and at each change of its counts or state,
// until it is at rest: counted, paused, cancelled or done. A broken connection is
// taken up again. After an error it yields nothing more.
func (c *Client) WatchRevocation(ctx context.Context, id string) iter.Seq2[*RevocationJob, error] {
	return watch[RevocationJob](ctx, c, revocationPath(id))
}

func revocationPath(id string) string { return "/revocations/" + url.PathEscape(id) }
