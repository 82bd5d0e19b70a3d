package restapi

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
)

type expiryInput struct {
	Caller
	Days int `query:"days" minimum:"1" maximum:"1098" default:"90" doc:"How far to look, in days from now."`
}

func (s *server) reportExpiry(ctx context.Context, g access.Permit, in *expiryInput) (*answer[client.Expiry], error) {
	r, err := s.cfg.Expiry.Report(ctx, g, time.Duration(in.Days)*24*time.Hour)
	if err != nil {
		return nil, err
	}
	out := client.Expiry{Until: r.Until, Items: make([]client.ExpiryItem, len(r.Items)), Certificates: make([]client.ExpiryCount, len(r.Counts))}
	for i, item := range r.Items {
		out.Items[i] = client.ExpiryItem{Kind: item.Kind, Name: item.Name, Ends: item.Ends, Severity: string(item.Severity), Do: item.Do}
	}
	for i, c := range r.Counts {
		out.Certificates[i] = client.ExpiryCount{Month: fmt.Sprintf("%04d-%02d", c.Month/100, c.Month%100),
			Profile: c.Profile.Name, Version: c.Profile.Version, Count: c.Count}
	}
	return &answer[client.Expiry]{out}, nil
}
