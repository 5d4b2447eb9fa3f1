internal import Jobs
package import MainstreetAPI
internal import Postgres
package import RPC

extension JobsAdmin {
  /// Only platform admins are let in, to everybody's jobs: the handler trusts its payload, and has the service's rights.
  package func editDeadJob(_ request: EditDeadJobRequest, _ context: CallContext) async throws
    -> MainstreetAPI.DeadJob
  {
    let id = try id(request.jobId)
    var filter = LibraryDeadJobFilter()
    filter.ids = [id]
    guard try await edit(id, request.payload), let job = try await jobs.dead(filter, most: 1).first
    else { throw JobsAdminError.noDeadJob(request.jobId).rpcError }
    return DeadJob(job, whole: true)
  }

  private func edit(_ id: UUID, _ payload: String) async throws -> Bool {
    do {
      return try await jobs.edit(id, tenant: nil, payload: payload)
    } catch let error as PostgresError {
      // What JSON it stores is Postgres' to say.
      switch error.sqlState {
      case .invalidTextRepresentation?, .untranslatableCharacter?, .characterNotInRepertoire?:
        throw JobsAdminError.badPayload.rpcError
      case .checkViolation?: throw JobsAdminError.payloadTooLarge.rpcError
      default: throw error
      }
    }
  }
}
