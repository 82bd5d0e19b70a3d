package client

import (
	"context"
	"time"
)

// A Clock is what a node's clock says, and what it should say.
type Clock struct {
	Node     string    `json:"node" doc:"The node that answered."`
	Now      time.Time `json:"now" doc:"What its clock says."`
	Expected time.Time `json:"expected" doc:"What it should say; equal to now while it is right."`
	Stored   time.Time `json:"stored,omitzero" doc:"The newest time that any node committed at; absent before the first."`
	Problem  string    `json:"problem,omitempty" doc:"Why the node issues nothing; absent while the clock is right."`
}

// Clock compares the clock of the node that answers; for platform operators.
func (c *Client) Clock(ctx context.Context) (*Clock, error) {
	return get[Clock](ctx, c, "/clock", nil)
}

// AcceptClock has the node that answers take its clock for right; for platform
// operators. While the clock is right there is nothing to accept.
func (c *Client) AcceptClock(ctx context.Context) (*Clock, error) {
	return post[Clock](ctx, c, "/clock/accept", nil)
}
