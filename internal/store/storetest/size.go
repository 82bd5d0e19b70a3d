package storetest

import (
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/stat"
)

// testSize: what there is grows with what is stored.
func testSize(f *fixture) {
	before, err := f.Size(f.ctx)
	f.ok(err)
	if before.Database+before.Log == 0 || before.Revocations != 0 {
		f.Errorf("of a new store: %+v", before)
	}
	void := f.intent(f.item("meter-1"))
	f.intend(void)
	f.record(void) // its serial counts as revoked
	after, err := f.Size(f.ctx)
	f.ok(err)
	if after.Revocations != 1 || after.Database+after.Log < before.Database+before.Log {
		f.Errorf("%+v after %+v", after, before)
	}
}

// testOpenWork: what is open is counted by its state, and what has ended is not.
func testOpenWork(f *fixture) {
	changes := map[string]int64{}
	is := func(batches, jobs map[string]int64, seen int64) {
		f.Helper()
		got, err := f.OpenWork(f.ctx)
		f.ok(err)
		f.same(got, stat.OpenWork{Batches: batches, Jobs: jobs, Seen: seen, Changes: changes})
	}
	is(map[string]int64{}, map[string]int64{}, 0)
	f.upload(1, batch.Running)
	paused := f.upload(1, batch.Running)
	f.ok(f.move(paused.ID, batch.Paused, batch.Running))
	over := f.upload(1, batch.Running)
	f.ok(f.move(over.ID, batch.Cancelled, batch.Running))
	is(map[string]int64{"running": 1, "paused": 1}, map[string]int64{}, 0)

	one, two := f.placed(acme, "meter-1", "7"), f.placed(acme, "meter-2", "7")
	in := f.intent(one, two)
	f.intend(in)
	one.DER, two.DER = []byte("certificate 1"), []byte("certificate 2")
	f.record(in)
	j := f.createJob(f.job(acme, revocation.ByLot, "7", pki.Superseded))
	is(map[string]int64{"running": 1, "paused": 1}, map[string]int64{"running": 1}, 0)
	_, err := f.AdvanceJob(f.ctx, acme, j.ID, f.now, 1)
	f.ok(err)
	is(map[string]int64{"running": 1, "paused": 1}, map[string]int64{"running": 1}, 1)
	f.createJob(f.job(acme, revocation.ByDevice, "meter-1", pki.Superseded))
	is(map[string]int64{"running": 1, "paused": 1}, map[string]int64{"running": 2}, 1)
	f.advance(j, 10)
	f.ok(f.MoveJob(f.ctx, acme, j.ID, revocation.JobMove{From: []revocation.JobState{revocation.Running}, To: revocation.Done, At: f.now}, f.event(acme, "revocation.done")))
	f.putChange(1)
	f.putChange(2)
	changes["pending"] = 2
	is(map[string]int64{"running": 1, "paused": 1}, map[string]int64{"running": 1}, 0)
}
