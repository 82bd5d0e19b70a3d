package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Retention says how long certificates that have expired stay in the store, and
// what is being done about it.
type Retention struct {
	KeepSeconds int64          `json:"keep_seconds" doc:"How long a certificate stays after its end; 0 is for good."`
	Place       string         `json:"place" enum:"directory,bucket" doc:"What archives are written to. Where it is, the operator of the server knows."`
	Round       RetentionRound `json:"round" doc:"The work on this tenant's certificates that is going on, or was the last since the server was started."`
}

// NewRetention is the body of a change.
type NewRetention struct {
	KeepSeconds int64 `json:"keep_seconds" minimum:"0" doc:"How long a certificate stays after its end; 0 is for good."`
}

// A RetentionRound is one round of archiving.
type RetentionRound struct {
	State        string    `json:"state" enum:"none,running,finished,failed" doc:"none: since the server was started there was none."`
	Started      time.Time `json:"started,omitzero"`
	Finished     time.Time `json:"finished,omitzero"`
	Scanned      int64     `json:"scanned" doc:"Up to which row of the store it has looked."`
	Rows         int64     `json:"rows" doc:"Up to which row it is to look."`
	Archives     int64     `json:"archives" doc:"How many archives it finished."`
	Certificates int64     `json:"certificates" doc:"How many certificates it took out of the store."`
	Error        string    `json:"error,omitempty" doc:"Why it ended early."`
}

// A RetentionRun is the body of a request for a round.
type RetentionRun struct {
	DryRun bool `json:"dry_run,omitempty" doc:"Only count."`
}

// A RetentionDue is what there is to archive.
type RetentionDue struct {
	Expired    int64 `json:"expired" doc:"Certificates that expired longer ago than they are to stay. Those of authorities and those on hold are among them, and stay."`
	InOpenLots int64 `json:"in_open_lots" doc:"Of them: how many stay until their lot is closed and its report made."`
	Unanchored int64 `json:"unanchored" doc:"Of them: how many stay until an anchor has taken a checkpoint of the log that covers them."`
	Begun      bool  `json:"begun" doc:"Whether a round was asked for."`
}

// An Archive is one object with certificates that have expired.
type Archive struct {
	ID           string    `json:"id"`
	State        string    `json:"state" enum:"planned,written,done" doc:"written: the object is there and logged, and its certificates are being taken out of the store."`
	Created      time.Time `json:"created"`
	Before       time.Time `json:"before" doc:"What all of its certificates expired before."`
	Finished     time.Time `json:"finished,omitzero"`
	Removed      int64     `json:"removed" doc:"How many of its certificates are out of the store."`
	Object       string    `json:"object,omitempty" doc:"The name of the object in the archives' place."`
	SHA256       string    `json:"sha256,omitempty" doc:"Of the object, in hexadecimal."`
	Size         int64     `json:"size" doc:"Of the object, in bytes."`
	Certificates int64     `json:"certificates"`
	FirstIndex   int64     `json:"first_index" doc:"The lowest of its certificates' places in the log."`
	LastIndex    int64     `json:"last_index"`
	FirstSerial  string    `json:"first_serial,omitempty" doc:"The lowest serial number."`
	LastSerial   string    `json:"last_serial,omitempty"`
}

// Retention returns what the client's tenant keeps.
func (c *Client) Retention(ctx context.Context) (*Retention, error) {
	return get[Retention](ctx, c, "/retention", nil)
}

// SetRetention says for how long expired certificates stay; 0 is for good.
func (c *Client) SetRetention(ctx context.Context, keep time.Duration) (*Retention, error) {
	out := new(Retention)
	return orNil(out, c.do(ctx, call{method: http.MethodPut, path: "/retention"}, NewRetention{int64(keep / time.Second)}, out))
}

// RunRetention has a round of archiving begin, or only counts.
func (c *Client) RunRetention(ctx context.Context, dryRun bool) (*RetentionDue, error) {
	return post[RetentionDue](ctx, c, "/retention/run", RetentionRun{dryRun})
}

// Archives returns up to limit archives below the id before, newest first; "" is the
// newest.
func (c *Client) Archives(ctx context.Context, before string, limit int) (*List[Archive], error) {
	return get[List[Archive]](ctx, c, "/archives", page("before", before, limit))
}

// Archive returns an archive.
func (c *Client) Archive(ctx context.Context, id string) (*Archive, error) {
	return get[Archive](ctx, c, "/archives/"+url.PathEscape(id), nil)
}
