package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A Visit is one request that came to an endpoint, and what became of it.
type Visit struct {
	No       uint64    `json:"no" doc:"From 1, at this endpoint and node. A number that is left out was not sent: more came than was taken."`
	At       time.Time `json:"at"`
	Protocol string    `json:"protocol,omitempty" doc:"rest, est, scep or scep-legacy; absent where it did not show."`
	Source   string    `json:"source,omitempty" doc:"The address that it came from."`
	Who      string    `json:"who,omitempty" doc:"Who was proved; absent: nobody."`
	Device   string    `json:"device,omitempty" doc:"That it was for; where nobody was proved, what the request claims."`
	Outcome  string    `json:"outcome" enum:"issued,refused,pending"`
	Kind     string    `json:"kind,omitempty" doc:"The kind of the refusal, as in problem documents."`
	Why      string    `json:"why,omitempty" doc:"Which rule refused it, or what it waits for."`
	Serial   string    `json:"serial,omitempty" doc:"Of the certificate."`
}

// TraceEndpoint yields what came to an endpoint lately on the node that answers, and with
// follow what comes until ctx ends. After an error it yields nothing more.
func (c *Client) TraceEndpoint(ctx context.Context, endpoint string, follow bool) iter.Seq2[*Visit, error] {
	return func(yield func(*Visit, error) bool) {
		q := url.Values{}
		if follow {
			q.Set("follow", "true")
		}
		body, err := c.open(ctx, call{method: http.MethodGet, path: "/endpoints/" + url.PathEscape(endpoint) + "/trace", query: q, accept: "text/event-stream"})
		if err != nil {
			yield(nil, err)
			return
		}
		defer body.Close()
		if _, err := readEvents(body, yield); err != nil && ctx.Err() == nil {
			yield(nil, err)
		}
	}
}
