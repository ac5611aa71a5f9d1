internal import Journal
internal import Raft
internal import Replica

extension World {
    /// In the end each node has the log of the retention time, which is the audit trail: also one that came in by a
    /// checkpoint, or lost some of it, and fetched it from the others.
    func checkLogs() {
        guard plan.keepsLog, let healedAt, now > healedAt + 60 * WorldPlan.second else { return }
        let mark = checker.model.kept.marks.details
        guard let first = checker.committed.first(where: { $0.time >= mark }) else { return }
        for host in hosts {
            guard let process = host.process else { continue }
            do throws(JournalError) {
                try compareLog(
                    of: &process.replica,
                    from: first.id.index,
                    through: process.replica.appliedIndex,
                    host.disk
                )
            } catch {
                checker.fail(
                    "retention",
                    """
                    n\(host.number + 1) lacks some of the log that is to be kept, from \(first.id) on: \(error); \
                    \(hosts.map { $0.process.map { "\($0.replica.journal.firstIndex) \($0.replica.journal.holes)" } ?? "-" })
                    """,
                    at: now
                )
            }
        }
    }
}
