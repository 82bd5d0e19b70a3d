package client

import (
	"context"
	"time"
)

// The severities of an Alarm.
const (
	Critical = "critical"
	Warning  = "warning"
)

// An Alarm is one thing that is wrong now.
type Alarm struct {
	Tenant   string    `json:"tenant" doc:"Whom it concerns; empty for the deployment itself."`
	Name     string    `json:"name" doc:"What is watched." example:"crl.stale"`
	Target   string    `json:"target,omitempty" doc:"Of what; absent where there is but one."`
	Severity string    `json:"severity" enum:"critical,warning" doc:"critical: something stands still, or relying parties are about to refuse it. warning: it works, and will not for ever."`
	What     string    `json:"what" doc:"What is wrong, in one sentence."`
	Do       string    `json:"do" doc:"What to do about it."`
	Since    time.Time `json:"since" doc:"Since when this node knows."`
}

// Alarms returns what is wrong now, the critical first: of the client's own tenant,
// and for a platform operator of every tenant and of the deployment.
func (c *Client) Alarms(ctx context.Context) ([]Alarm, error) {
	return list[Alarm](ctx, c, "/alarms")
}
