package auditlog

// The rounds of Run, for tests that make them one by one.
var (
	Sequence = (*Service).sequence
	Deliver  = (*Service).deliver
	Watch    = (*Service).watch
)
