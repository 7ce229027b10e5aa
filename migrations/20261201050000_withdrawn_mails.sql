-- A mail that waited when its recipient was taken out of the schedule, or the schedule was switched off, is not sent: `withdrawn`.
do $$
begin
    alter table report_deliveries drop constraint report_deliveries_state_check;
    alter table report_deliveries add constraint report_deliveries_state_check
        check (state in ('pending', 'sending', 'sent', 'failed', 'uncertain', 'unsubscribed', 'withdrawn'));
end
$$
