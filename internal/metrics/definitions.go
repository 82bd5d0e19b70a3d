package metrics

import "github.com/prometheus/client_golang/prometheus"

// A definition is one metric of pando's own. The package has a table of them all,
// from which docs/operator/metrics.md is made.
type definition struct {
	name, kind, help string
	labels           []string
}

func (d definition) desc() *prometheus.Desc {
	return prometheus.NewDesc(d.name, d.help, d.labels, nil)
}

func counter(name, help string, labels ...string) definition {
	return definition{name, "counter", help, labels}
}

func gauge(name, help string, labels ...string) definition {
	return definition{name, "gauge", help, labels}
}

func histogram(name, help string, labels ...string) definition {
	return definition{name, "histogram", help, labels}
}

// The metrics. They are not changed.
var (
	build    = gauge("pando_build_info", "1, with the version of the program.", "version")
	requests = counter("pando_http_requests_total", "Requests that were answered, by the pattern of the route and the status code.", "listener", "route", "code")
	took     = histogram("pando_http_request_duration_seconds", "How long requests took, uploads and streams as a whole.", "listener", "route")

	issued    = counter("pando_certificates_issued_total", "Certificates that were recorded; way is single or batch.", "way")
	refused   = counter("pando_certificates_refused_total", "Requests without a certificate, by the kind of the error; way is single or batch.", "way", "kind")
	visited   = counter("pando_endpoint_requests_total", "Requests for single certificates that came to endpoints, by protocol (none: it did not show) and what became of them: issued, also where an answer was repeated, pending, or the kind of the refusal. What a limit refused is not among them.", "protocol", "outcome")
	underWay  = gauge("pando_issuance_requests", "Single requests that have no answer yet.")
	waiting   = gauge("pando_issuance_queue", "What waits for an intent: single requests, and chunks of batches of up to 125 rows.", "way")
	intents   = gauge("pando_issuance_open_intents", "Groups that were committed by this process and are not recorded yet.")
	groups    = histogram("pando_issuance_group_size", "Certificates in a committed intent.")
	commits   = histogram("pando_issuance_commit_duration_seconds", "How long the transaction of intents and records took, with its wait for the writer.")
	signature = histogram("pando_signature_duration_seconds", "How long a key took to sign, by its kind.", "key")

	keysReady   = gauge("pando_server_keys_ready", "Private keys that are ready for devices that cannot make their own, by kind.", "key")
	keysWaiting = gauge("pando_server_keys_waiting", "Requests that wait for such a key to be made.")
	keysMade    = histogram("pando_server_key_duration_seconds", "How long such a key took to be made.")

	transactions = histogram("pando_store_transaction_duration_seconds", "How long transactions that write took, from their turn until they were durable.")
	database     = gauge("pando_store_database_bytes", "Size of the database's file.")
	wal          = gauge("pando_store_wal_bytes", "Size of the write-ahead log's file.")
	entries      = counter("pando_revocation_entries_total", "Revocation entries that the store was ever given, those of serials that became void with them.")

	archives        = counter("pando_archives_total", "Archives of expired certificates that this process finished.")
	archived        = counter("pando_archived_certificates_total", "Certificates that are in them, and out of the store.")
	archiveFailures = counter("pando_archive_failures_total", "Rounds of archiving that failed.")

	archiveRounds = counter("pando_archive_rounds_total", "Rounds of archiving, of one tenant each, that came to their end.")
	archiveRound  = gauge("pando_archive_round_age_seconds", "Time since a round of archiving last came to its end; absent before the first.")

	changes = counter("pando_changes_total", "Changes that this process took for approval, approvals and refusals of them, those that it executed, those that failed, and attempts that are made again.", "what")

	changesOpen = gauge("pando_changes_open", "Changes that wait for approval, of all tenants (pending), and those that are approved and not done yet (approved).", "state")

	purged        = counter("pando_purged_total", "What this process removed from the store as its time was over (retention), by what it is.", "what")
	purgeFailures = counter("pando_purge_failures_total", "Rounds of such removal that failed and are made again.", "what")

	indexesMaking = gauge("pando_indexes_making", "Indexes for searches that authorities get later and that are being made.")
	indexed       = counter("pando_index_certificates_total", "Certificates that this process looked at for them, those of other authorities with them.")
	indexFailures = counter("pando_index_failures_total", "Steps of making them that failed and are made again.")

	deviceActs      = counter("pando_device_acts_total", "Acts on devices that this process carried out.", "act")
	devicesImported = counter("pando_device_import_rows_total", "Rows of imports of devices, by what became of them: planned, moved, unchanged or refused.", "outcome")

	lotReports = counter("pando_lot_reports_total", "Reports of closed lots that this process signed.")

	validatorAnswers = counter("pando_validator_answers_total", "What validators of challenges of SCEP answered: success, or the kind of the refusal; unavailable is no answer that counts.", "validator", "outcome")

	batches  = gauge("pando_batches", "Batches that have not come to their end, by state.", "state")
	jobs     = gauge("pando_revocation_jobs", "Revocation jobs that have not come to their end, by state.", "state")
	jobsSeen = gauge("pando_revocation_jobs_certificates", "Certificates that the revocation jobs that count or run now have looked at.")

	quotas         = gauge("pando_quotas", "Quotas, by what is used of them: high is nine tenths or more, full is all.", "state")
	quotasCounting = gauge("pando_quotas_counting", "Of them, those for which certificates from before are still being counted.")

	logWaiting     = gauge("pando_log_waiting_entries", "Entries of all audit logs that wait for their place.")
	logOldest      = gauge("pando_log_waiting_seconds", "For how long the oldest of them has waited; 0 where none does.")
	logSigned      = gauge("pando_log_checkpoint_age_seconds", "Time since this node last signed a checkpoint, which it does when a log has grown; absent before the first.")
	logUnanchored  = gauge("pando_log_unanchored_seconds", "For how long a log has had entries that no anchor's checkpoint covers; 0 where none has.")
	anchorTaken    = gauge("pando_anchor_taken_age_seconds", "Time since the anchor last took a checkpoint from this node; absent before the first.", "anchor")
	anchorFailures = counter("pando_anchor_failures_total", "Checkpoints that the anchor did not take.", "anchor")

	logExports = counter("pando_log_exports_total", "Exports of the audit log that this process wrote to their end (done), and that broke off (failed).", "outcome")

	crlsMade = counter("pando_crls_made_total", "CRLs that this process signed.")
	crlAge   = gauge("pando_crl_age_seconds", "Time since thisUpdate of the issuer's oldest current CRL.", "issuer")
	crlLeft  = gauge("pando_crl_remaining_seconds", "Time until nextUpdate of the issuer's CRL that ends first; negative when it is over.", "issuer")
	crlLate  = gauge("pando_crl_shards_behind", "CRL shards of the issuer that have no CRL, or entries that are neither in it nor in the delta to it.", "issuer")

	ocspTold    = counter("pando_ocsp_certificates_total", "Certificates that OCSP answers told about, by what they said.", "status")
	ocspKept    = counter("pando_ocsp_answers_kept_total", "OCSP answers that had been signed before.")
	ocspRefused = counter("pando_ocsp_refused_total", "OCSP requests without a signed answer, by the kind of the error.", "kind")

	published        = counter("pando_publish_lists_total", "CRLs that were published to the target, or found to be there.", "target")
	publishFailures  = counter("pando_publish_failures_total", "Attempts to publish to the target that failed and are made again.", "target")
	publishRefused   = counter("pando_publish_refused_total", "CRLs that were left out, as something else is in their place at the target.", "target")
	publishWaiting   = gauge("pando_publish_queue", "CRLs that wait to be published to the target.", "target")
	publishFailing   = gauge("pando_publish_failing_seconds", "For how long the target has taken nothing; 0 while it works.", "target")
	publishDone      = gauge("pando_publish_done_age_seconds", "Time since a CRL was last published to the target; absent before the first.", "target")
	checkRounds      = counter("pando_status_check_rounds_total", "Rounds of the status checker that came to their end.")
	checkRound       = gauge("pando_status_check_round_age_seconds", "Time since the last of them; absent before the first.")
	checkWrong       = counter("pando_status_check_wrong_total", "Times that the checker found a CRL or an OCSP answer that is not as it must be.")
	checkUnreachable = counter("pando_status_check_unreachable_total", "Times that the checker could not fetch status.")

	places             = gauge("pando_limit_places", "How many may be under way at once.", "limit")
	placesTaken        = gauge("pando_limit_places_taken", "How many are.", "limit")
	limitRefused       = counter("pando_limit_refused_total", "What was refused at a limit: a rate, or places, with a tenant's or a source's share of them.", "limit")
	connections        = gauge("pando_connections", "Open connections.", "listener")
	connectionsMost    = gauge("pando_connections_limit", "How many may be open.", "listener")
	connectionsRefused = counter("pando_connections_refused_total", "Connections that were closed at once, as there were too many, in all or of their source.", "listener")

	alarms = gauge("pando_alarms", "Alarms that stand now, by what is watched.", "alarm", "severity")
	blind  = gauge("pando_metrics_store_error", "1 where the store did not answer while the metrics were collected: those that come from it are missing.")
)

// definitions lists the metrics in the order of the documentation.
func definitions() []definition {
	return []definition{
		build, requests, took,
		issued, refused, visited, underWay, waiting, intents, groups, commits, signature,
		keysReady, keysWaiting, keysMade,
		transactions, database, wal, entries, batches, jobs, jobsSeen,
		changes, changesOpen, validatorAnswers, deviceActs, devicesImported, lotReports, indexesMaking, indexed, indexFailures, purged, purgeFailures,
		archives, archived, archiveFailures, archiveRounds, archiveRound, quotas, quotasCounting,
		logWaiting, logOldest, logSigned, logUnanchored, anchorTaken, anchorFailures, logExports,
		crlsMade, crlAge, crlLeft, crlLate, ocspTold, ocspKept, ocspRefused,
		published, publishFailures, publishRefused, publishWaiting, publishFailing, publishDone,
		checkRounds, checkRound, checkWrong, checkUnreachable,
		places, placesTaken, limitRefused, connections, connectionsMost, connectionsRefused,
		alarms, blind,
	}
}
