import MainstreetAPI
import Postgres
import RPC
import ServiceKit

/// The rpcs of `mainstreet.identity.v1.AccessService`. Each is an extension in a file of its own name:
///
/// - Access: IssueServicePrincipal, ExchangeCredential
/// - SigningKeys: ListVerificationKeys
/// - Revocations: WatchRevocations
/// - Budgets: LeaseBudgets
struct AccessService: MainstreetAPI.AccessService {
  let postgres: PostgresClient
  let keys: SigningKeys
  let tokens: AccessTokens
  let secrets: ServiceSecrets
  let keyUses: ApiKeyUses
  var revocationInterval = Duration.milliseconds(500)
  var now: @Sendable () -> Instant = { .now() }
}
