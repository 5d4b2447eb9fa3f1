package import Jobs
internal import MainstreetAPI
internal import Postgres
internal import RPC

/// The rpcs of `mainstreet.jobs.v1.JobsService`, as every service that has a queue serves them for its own. Each is an
/// extension in a file of its own name.
package struct JobsAdmin: JobsService {
  let jobs: Jobs
  /// Those the service works: they are there even when nothing is in them.
  let queues: [String]
  /// Of the list of dead jobs.
  let cursors: CursorSigner

  package init(jobs: Jobs, queues: [String], cursors: CursorSigner) {
    self.jobs = jobs
    self.queues = queues
    self.cursors = cursors
  }

  /// Stands above tenants; Identity gives it to nobody who is one's.
  static let platformAdmin = "platform_admin"

  /// Whose jobs a call may see and change; nil for everybody's.
  func tenant(of context: CallContext) throws(RPCError) -> UUID? {
    let principal = try context.principal
    return principal.roles.contains(Self.platformAdmin) ? nil : try principal.actingTenant()
  }

  /// A job's id from a request. Validation has seen that it is one.
  func id(_ text: String) throws(RPCError) -> UUID {
    guard let id = UUID(text) else { throw JobsAdminError.badID("job_id").rpcError }
    return id
  }
}
