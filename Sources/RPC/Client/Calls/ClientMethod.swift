/// A method as one client calls it: everything that does not change from call to call.
package final class ClientMethod: Sendable {
  /// e.g. `/mainstreet.store.v1.StoreService/GetStore`
  package let path: String
  let policy: CallPolicy
  let metrics: ClientMetrics?

  init(path: String, policy: CallPolicy, metrics: ClientMetrics?) {
    self.path = path
    self.policy = policy
    self.metrics = metrics
  }
}
