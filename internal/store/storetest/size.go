package storetest

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
