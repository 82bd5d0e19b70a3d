package restapi

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

type retentionInput struct {
	Caller
	Body client.NewRetention
}

type retentionRunInput struct {
	Caller
	Body client.RetentionRun
}

type archivesInput struct {
	Caller
	NewestFirst
}

type archiveInput struct {
	Caller
	ID string `path:"id"`
}

func (s *server) getRetention(ctx context.Context, g access.Permit, _ *nothing) (*answer[client.Retention], error) {
	return retentionAnswer(s.cfg.Retention.Setting(ctx, g))
}

func (s *server) setRetention(ctx context.Context, g access.Permit, in *retentionInput) (*answer[client.Retention], error) {
	if in.Body.KeepSeconds > int64(retention.MaxKeep/time.Second) {
		return nil, pki.Errorf(pki.Malformed, "keep_seconds: %d at most; 0 is for good", int64(retention.MaxKeep/time.Second))
	}
	return retentionAnswer(s.cfg.Retention.Set(ctx, g, time.Duration(in.Body.KeepSeconds)*time.Second))
}

func retentionAnswer(set *retention.Setting, err error) (*answer[client.Retention], error) {
	if err != nil {
		return nil, err
	}
	r := set.Round
	round := client.RetentionRound{State: "running", Started: r.Started, Finished: r.Finished, Scanned: r.Scanned, Rows: r.Rows,
		Archives: r.Archives, Certificates: r.Certificates, Error: r.Error}
	switch {
	case r.Started.IsZero():
		round.State = "none"
	case r.Error != "":
		round.State = "failed"
	case !r.Finished.IsZero():
		round.State = "finished"
	}
	return &answer[client.Retention]{client.Retention{KeepSeconds: int64(set.Keep / time.Second), Place: set.Place, Round: round}}, nil
}

func (s *server) runRetention(ctx context.Context, g access.Permit, in *retentionRunInput) (*answer[client.RetentionDue], error) {
	act := s.cfg.Retention.Begin
	if in.Body.DryRun {
		act = s.cfg.Retention.Preview
	}
	due, err := act(ctx, g)
	if err != nil {
		return nil, err
	}
	return &answer[client.RetentionDue]{client.RetentionDue{Expired: due.Expired, InOpenLots: due.InOpenLots, Unanchored: due.Unanchored, Begun: !in.Body.DryRun}}, nil
}

func (s *server) listArchives(ctx context.Context, g access.Permit, in *archivesInput) (*listOf[client.Archive], error) {
	archives, err := s.cfg.Retention.Archives(ctx, g, retention.ID(in.Before), in.Limit)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(archives) == in.Limit {
		next = string(archives[len(archives)-1].ID)
	}
	return each(archives, next, wireArchive), nil
}

func (s *server) getArchive(ctx context.Context, g access.Permit, in *archiveInput) (*answer[client.Archive], error) {
	a, err := s.cfg.Retention.Archive(ctx, g, retention.ID(in.ID))
	if err != nil {
		return nil, err
	}
	return &answer[client.Archive]{wireArchive(a)}, nil
}

func wireArchive(a *retention.Archive) client.Archive {
	out := client.Archive{ID: string(a.ID), State: string(a.State), Created: a.Created, Before: a.Before, Finished: a.Finished, Removed: a.Removed}
	if m := a.Manifest; a.State != retention.Planned {
		out.Object, out.SHA256, out.Size, out.Certificates = m.Object, hex.EncodeToString(m.SHA256[:]), m.Size, m.Certificates
		out.FirstIndex, out.LastIndex = m.FirstIndex, m.LastIndex
		out.FirstSerial, out.LastSerial = pki.Serial(m.FirstSerial).String(), pki.Serial(m.LastSerial).String()
	}
	return out
}
