package bench

import (
	"context"
	"errors"

	"github.com/pando-pki/pando/client"
)

// besideClients is how many enrol at once for row 15: enough for a percentile, few
// enough that they are not the load themselves.
const besideClients = 4

// issueBesideBatch measures row 15: how long single requests take while a batch
// runs, against how long without it.
func (b *bench) issueBesideBatch(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	for range b.rounds {
		alone, err := b.singles(ctx)
		if err != nil {
			return err
		}
		file, err := b.newDevices(ctx, b.besideRows())
		if err != nil {
			return err
		}
		batch, err := b.submit(ctx, lot, endpoint, file)
		if err != nil {
			return err
		}
		beside, err := b.singles(ctx)
		if err != nil {
			return err
		}
		at, err := b.api.Batch(ctx, batch.ID)
		if err != nil {
			return err
		}
		if at.State != client.Running {
			return errors.New("the batch ended before the single requests did: measure for a shorter time")
		}
		if _, err := b.api.CancelBatch(ctx, batch.ID); err != nil {
			return err
		}
		if err := b.atRest(ctx, batch.ID); err != nil {
			return err
		}
		ratio := beside.percentile(0.99).Seconds() / alone.percentile(0.99).Seconds()
		b.report.add(besideBatch, ratio)
		b.tell("singles by %d clients: p50 %v, p99 %v alone; p50 %v, p99 %v beside a batch (%d of them, and %d rows of it); %.2f ×", besideClients,
			alone.percentile(0.5), alone.percentile(0.99), beside.percentile(0.5), beside.percentile(0.99), beside.requests, at.Issued, ratio)
	}
	return nil
}

// besideRows is more than are issued while single requests are measured.
func (b *bench) besideRows() int {
	const most = 20_000 // a second
	return max(fewRows*20, int(b.length.Seconds()*most))
}

// singles enrols devices one by one for the length of a measurement.
func (b *bench) singles(ctx context.Context) (*result, error) {
	const most = 1000 // a second, of so few clients
	l, err := b.enrolments(ctx, max(100, int(b.length.Seconds()*most)))
	if err != nil {
		return nil, err
	}
	l.clients = besideClients
	return l.measure(ctx, b.server, b.length)
}

// atRest waits until a batch is.
func (b *bench) atRest(ctx context.Context, batch string) error {
	for _, err := range b.api.Watch(ctx, batch) {
		if err != nil {
			return err
		}
	}
	return nil
}
