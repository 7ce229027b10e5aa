// Names of values that the API tells by key. Those of channels and kinds of devices are the catalogue's.
import type { Text } from "../app/language.svelte";

export const VALUES: Record<string, Record<string, Text>> = {
  visitor_type: {
    new: { uk: "Нові", en: "New" },
    returning: { uk: "Повторні", en: "Returning" },
  },
  action: {
    page_view: { uk: "Перегляд сторінки", en: "Page view" },
    product_view: { uk: "Перегляд товару", en: "Product view" },
    add_to_cart: { uk: "Додано в кошик", en: "Added to cart" },
    remove_from_cart: { uk: "Вилучено з кошика", en: "Removed from cart" },
    initiate_checkout: { uk: "Початок оформлення", en: "Checkout begun" },
    lead: { uk: "Лід", en: "Lead" },
    purchase: { uk: "Покупка", en: "Purchase" },
    search: { uk: "Пошук", en: "Search" },
    click: { uk: "Клік", en: "Click" },
    scroll: { uk: "Прокручування", en: "Scroll" },
    time_on_page: { uk: "Час на сторінці", en: "Time on page" },
    sign_up: { uk: "Реєстрація", en: "Sign-up" },
    custom: { uk: "Власна подія", en: "Custom event" },
  },
  payment_status: {
    unpaid: { uk: "не оплачено", en: "unpaid" },
    prepaid: { uk: "передоплата", en: "prepaid" },
    paid: { uk: "оплачено", en: "paid" },
    refunded: { uk: "повернено", en: "refunded" },
    partially_refunded: { uk: "частково повернено", en: "partially refunded" },
    cancelled: { uk: "скасовано", en: "cancelled" },
  },
  link_method: {
    session: { uk: "за сесією", en: "by session" },
    visitor: { uk: "за відвідувачем", en: "by visitor" },
    customer: { uk: "за клієнтом", en: "by customer" },
    email: { uk: "за поштою", en: "by e-mail" },
    phone: { uk: "за телефоном", en: "by phone" },
  },
  unlinked_cause: {
    no_identifiers: { uk: "замовлення без сесії, клієнта та контактів", en: "the order names no session, customer or contact" },
    blocked_contact: { uk: "контакт у переліку загальних", en: "the contact is on the block list" },
    shared_contact: { uk: "контакт стоїть у замовленнях багатьох людей", en: "the contact stands on orders of many people" },
    unknown_session: { uk: "такої сесії немає", en: "there is no such session" },
    unknown_contact: { uk: "контакт ще не траплявся", en: "the contact was not seen before" },
    no_session_in_look_back: { uk: "останній візит задавній", en: "the last visit is too long ago" },
  },
  dead_letter: {
    ingest: { uk: "Подія воркера", en: "Event from the worker" },
    server_events: { uk: "Подія із сервера магазину", en: "Event from the shop's server" },
    orders: { uk: "Замовлення", en: "Order" },
  },
  replay_outcome: {
    accepted: { uk: "прийнято", en: "accepted" },
    duplicate: { uk: "уже є", en: "was there already" },
    empty: { uk: "без подій", en: "without events" },
  },
  consent: {
    granted: { uk: "згода", en: "granted" },
    limited: { uk: "обмежена згода", en: "limited" },
    refused: { uk: "відмова", en: "refused" },
    gpc: { uk: "сигнал GPC", en: "GPC signal" },
    dnt: { uk: "сигнал DNT", en: "DNT signal" },
    off: { uk: "облік вимкнено", en: "tracking is off" },
  },
};
