package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Waiting is the error of an act that others must approve first: it was taken, and
// nothing was done yet. Methods of Client return it as *Waiting, to be found with
// errors.As.
type Waiting struct {
	Change Change
	// RetryAfter is when to ask again for an act that is asked for again until it is
	// done, as an enrolment; 0 is unsaid.
	RetryAfter time.Duration
}

// Error says what waits for whom.
func (w *Waiting) Error() string {
	c := w.Change
	return fmt.Sprintf("%s (%s) waits for approval as change %s: %s must approve it until %s",
		c.Kind, c.Target, c.ID, c.Waits, c.Expires.UTC().Format(time.RFC3339))
}

const changesPath = apiPath + "/changes/"

// waiting reads the answer to an act that waits for approval.
func waiting(resp *http.Response) error {
	defer resp.Body.Close()
	w := &Waiting{RetryAfter: retryAfter(resp)}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(text, &w.Change)
	}
	if err != nil {
		return fmt.Errorf("decoding the server's answer: %w", err)
	}
	return w
}

// waits reports whether an answer is about an act that waits for approval.
func waits(resp *http.Response) bool {
	return resp.StatusCode == http.StatusAccepted && strings.HasPrefix(resp.Header.Get("Location"), changesPath)
}

// Changes returns a page of the tenant's changes, newest first, of one state where it
// is not ""; before is the Next of the page before.
func (c *Client) Changes(ctx context.Context, state, before string, limit int) (*List[Change], error) {
	q := page("before", before, limit)
	if state != "" {
		q.Set("state", state)
	}
	return get[List[Change]](ctx, c, "/changes", q)
}

// Change returns one change.
func (c *Client) Change(ctx context.Context, id string) (*Change, error) {
	return get[Change](ctx, c, "/changes/"+url.PathEscape(id), nil)
}

// Approve approves a change of which the hash was seen. With the last approval it is
// done; what became of it says its state.
func (c *Client) Approve(ctx context.Context, id string, d NewDecision) (*Change, error) {
	return post[Change](ctx, c, "/changes/"+url.PathEscape(id)+"/approve", d)
}

// Refuse refuses a change, which ends it.
func (c *Client) Refuse(ctx context.Context, id string, d NewDecision) (*Change, error) {
	return post[Change](ctx, c, "/changes/"+url.PathEscape(id)+"/refuse", d)
}

// Withdraw ends a change that waits.
func (c *Client) Withdraw(ctx context.Context, id, comment string) (*Change, error) {
	return post[Change](ctx, c, "/changes/"+url.PathEscape(id)+"/withdraw", Withdrawal{comment})
}

// ApprovalRules returns what acts of each kind need.
func (c *Client) ApprovalRules(ctx context.Context) ([]ApprovalRule, error) {
	return list[ApprovalRule](ctx, c, "/approvals/rules")
}

// SetApprovalRule says what acts of a kind need from now on. To loosen a rule waits
// for approval itself.
func (c *Client) SetApprovalRule(ctx context.Context, kind string, n NewApprovalRule) (*ApprovalRule, error) {
	out := new(ApprovalRule)
	return orNil(out, c.do(ctx, call{method: http.MethodPut, path: "/approvals/rules/" + url.PathEscape(kind)}, n, out))
}
